"""What to train next, and what a report means. Knows nothing of Ray."""
