"""Processes that tests start."""

import signal


def accept_interrupts() -> None:
    """Run in the child: a shell's background job, which the tests may be in, ignores Ctrl-C and hands that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
