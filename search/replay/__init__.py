"""Measures how good a policy is: runs real samplers and schedulers on tables of trained systems."""
