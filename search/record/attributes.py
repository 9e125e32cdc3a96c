"""What the study file says of a trial beside its parameters and scores; read and written here alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trainables.base.outcomes import Outcome


@dataclass(frozen=True)
class Attributes:
    """A trial's attributes. In the file each has its name as its key, but for `passed` and `others`.

    One that has its default is not written.
    """

    outcome: Outcome | None = None  # None until it has ended
    message: str = ""  # why it ended so, for people
    crashes: int = 0  # how often its process died
    machines_lost: int = 0  # how often the machine under it went
    epoch_steps: int | None = None  # steps of an epoch, where its progress counts steps
    after: int | None = None  # how many reports the journal had when it was proposed
    clock: float | None = None  # the time in `search.deterministic` when it was last handed out, see `ordering.py`
    passed: frozenset[int] = frozenset()  # the rungs after which it was to go on: "epoch-4": "passed" in the file
    memory: dict[str, Any] = field(default_factory=dict)  # what its sampler wants to find again with it
    parent: int | None = None  # the trial from whose checkpoint it went on, of `pbt`
    replaces: int | None = None  # the trial in whose place it is, of `pbt`
    inherited: int = 0  # how many of its epochs its parent trained
    taken_from: str | None = None  # the trial that it was before the search was extended
    seal: str | None = None  # a checksum of what it was made with; None in version 0.1
    others: dict[str, Any] = field(default_factory=dict)  # that no driver writes

    def stored(self) -> dict[str, Any]:
        """By the keys of the study file."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("passed", "others")}
        written = {key: value for key, value in values.items() if value != getattr(_DEFAULTS, key)}
        # Whatever the unit of progress: the key is from before there were reports by steps.
        return {**written, **{f"{_RUNG}{rung}": _PASSED for rung in sorted(self.passed)}, **self.others}


def read_attributes(stored: Mapping[str, Any]) -> Attributes:
    """The inverse of `Attributes.stored`. What is not as it should be is one of `others`."""
    known: dict[str, Any] = {}
    passed: set[int] = set()
    others: dict[str, Any] = {}
    for key, value in stored.items():
        rung = key.removeprefix(_RUNG)
        if key == "outcome" and value in list(Outcome):
            known[key] = Outcome(value)
        elif key in _TYPES and isinstance(value, _TYPES[key]):
            known[key] = value
        elif key.startswith(_RUNG) and rung.isdecimal() and value == _PASSED:
            passed.add(int(rung))
        else:
            others[key] = value
    return Attributes(**known, passed=frozenset(passed), others=others)


_DEFAULTS = Attributes()
_RUNG, _PASSED = "epoch-", "passed"
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("crashes", "machines_lost", "epoch_steps", "after", "parent", "replaces", "inherited"), int),
    **dict.fromkeys(("message", "taken_from", "seal"), str),
    "clock": (int, float),
    "memory": dict,
}
