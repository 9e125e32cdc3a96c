"""Metrics of translations: a module for each kind, and `metrics.py`, the table."""
