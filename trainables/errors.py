"""What a user can mend: said in one message, without a traceback."""


class UserError(Exception):
    """Says what was wrong, where, and what to do."""


class Diverged(Exception):
    """Training left the finite numbers. This is a result of the configuration, not a fault."""
