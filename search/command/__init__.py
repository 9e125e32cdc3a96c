"""The problem of translation by a command: another trainer, with its own configuration and environment."""
