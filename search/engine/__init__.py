"""Decides what to train next, and what to do after a report. Knows nothing of Ray."""
