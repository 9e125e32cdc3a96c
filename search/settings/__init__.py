"""A search as one value, and the words for it."""
