"""What is searched: hyperparameters and their values."""
