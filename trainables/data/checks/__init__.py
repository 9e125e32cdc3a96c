"""What is wrong with text, and what is left out of it."""
