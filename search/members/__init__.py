"""Machines that search together, each of which may come late and leave early."""
