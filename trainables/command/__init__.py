"""Training and translation by a command: a trainer of somebody else's, in an environment of its own."""
