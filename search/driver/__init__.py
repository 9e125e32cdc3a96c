"""One search from its first step to its report."""
