"""Estimates of what a search will take: epochs, hours, money, memory and disk."""
