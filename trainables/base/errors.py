"""Errors that a user can fix, printed as one message without a traceback."""

import difflib
from collections.abc import Sequence

SHOWN = 200  # characters of a wrong value in a message
LISTED = 20  # most known names that a message lists
NEAR = 3  # most names that a message suggests


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong, where, and what to do."""


class TooLarge(UserError):
    """A model does not fit into memory: a result of the configuration on this machine."""


class StorageFails(UserError):
    """The storage of a search can't be read or written, which is not the fault of a trial."""


class MetricFails(UserError):
    """A metric of the configuration can't score translations, which is not the fault of a trial."""


class Diverged(Exception):
    """The loss or the gradient is not finite. This is a result of the configuration, not a fault."""


class MachineLeaves(Exception):
    """The machine is about to be taken away, so its trial should continue on another one."""


class Doubt(UserError):
    """Text looks wrong by its statistics, but may be right."""


def did_you_mean(name: str, known: Sequence[str], prefix: str = "") -> str:
    """The end of a message about an unknown name: the nearest known names, or all if they are few.

    >>> did_you_mean("epochs", ["training.epochs", "seed"], "--")
    '; did you mean --training.epochs?'
    """
    if name and (near := _nearest(name, known)):
        return f"; did you mean {either([f'{prefix}{each}' for each in near])}?"
    return f"; known {'is' if len(known) == 1 else 'are'} {', '.join(known)}" if 0 < len(known) <= LISTED else ""


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """Names that differ by a typo; else with the same end; else the most similar one; else one with its words."""
    if slip := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        return slip
    last, ends = name.rpartition(".")[2], {each: each.rpartition(".")[2] for each in known}
    if alike := [each for each, end in ends.items() if end == last]:
        return alike[:NEAR]
    if similar := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return similar
    if of_words := [each for each, end in ends.items() if set(last.split("_")) < set(end.split("_"))]:
        return [min(of_words, key=len)]  # heads: num_heads
    return [each for each, end in ends.items() if end in difflib.get_close_matches(last, ends.values(), n=1)][:NEAR]


def either(words: Sequence[str]) -> str:
    """["a", "b", "c"] -> "a, b or c"."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shortened(text: str) -> str:
    """The part of a wrong value that a message shows."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
