"""What people watch a search with besides the terminal: W&B and TensorBoard. docs/tracking.md describes it."""
