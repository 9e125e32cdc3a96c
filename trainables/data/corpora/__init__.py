"""A corpus: its splits, read and checked once, and how translations of it are scored."""
