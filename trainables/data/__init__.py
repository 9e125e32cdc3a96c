"""Parallel text: read, checked, tokenized, batched."""
