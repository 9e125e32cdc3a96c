"""The run directory: its inputs, checks of its files, and what a resume may change."""
