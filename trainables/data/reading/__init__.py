"""Pairs of sentences out of files in the forms that people have."""
