"""Copies a run directory to an object store, and fetches it from there."""
