"""What a user can fix: said in one message, without a traceback."""

import difflib

SHOWN = 200  # characters of a wrong value in a message


class UserError(Exception):
    """Says what was wrong, where, and what to do."""


class TooLarge(UserError):
    """A model does not fit into the memory there is: a result of the configuration, on this machine."""


class StorageFails(UserError):
    """Where a search is stored can't be read or written: the fault of no trial."""


class Diverged(Exception):
    """Training left the finite numbers. This is a result of the configuration, not a fault."""


class MachineLeaves(Exception):
    """The machine is about to be taken away, so its trial should go on elsewhere."""


class Doubt(UserError):
    """Text looks wrong, though nothing is certain but its statistics."""


def did_you_mean(name: str, known: list[str], prefix: str = "") -> str:
    """The end of a message about an unknown name: the nearest known one, or else all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known are {', '.join(known)}" if known else ""


def shortened(text: str) -> str:
    """What a message shows of a wrong value."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
