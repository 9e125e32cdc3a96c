"""The Python API: running searches, and reading their results."""
