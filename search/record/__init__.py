"""What is written down of a search: the study, the journals, what was spent."""
