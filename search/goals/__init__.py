"""Several goals at once: what a search wants besides a high score, and fronts of the best compromises."""
