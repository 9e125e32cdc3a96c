"""What other programs call: a search from Python, and what became of it."""
