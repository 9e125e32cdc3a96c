"""What a run was made from, whether its files are as they were written, what a resume may change."""
