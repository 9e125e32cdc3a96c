"""The effects of hyperparameters on the score, with intervals, and their importance."""
