"""A run whose directory is copied to an object store, and fetched from there."""
