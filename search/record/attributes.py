"""The attributes of a trial in the study file, besides parameters and scores; read and written only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trainables.base.outcomes import Outcome


@dataclass(frozen=True)
class Attributes:
    """A trial's attributes. In the file each has its name as its key, except `passed` and `others`.

    Attributes that have their default are not written.
    """

    outcome: Outcome | None = None  # None until it has ended
    message: str = ""  # why it ended so, as text for users
    crashes: int = 0  # how often its process died
    machines_lost: int = 0  # how often the machine that trained it was lost
    epoch_steps: int | None = None  # steps in an epoch, if its progress counts steps
    epoch_tokens: int | None = None  # target tokens in an epoch, if its progress counts tokens
    after: int | None = None  # the number of reports in the journal when it was proposed
    clock: float | None = None  # the time in `search.deterministic` when it was last handed out, see `ordering.py`
    passed: frozenset[int] = frozenset()  # the rungs that it passed; in the file, "epoch-4": "passed"
    memory: dict[str, Any] = field(default_factory=dict)  # notes of its sampler
    parent: int | None = None  # in `pbt`: the trial whose checkpoint it started from
    replaces: int | None = None  # in `pbt`: the trial that it replaced
    inherited: int = 0  # the number of epochs that its parent had trained
    taken_from: str | None = None  # the trial that it was before the search was extended or changed
    seal: str | None = None  # a checksum of what it was created with; None in version 0.1
    others: dict[str, Any] = field(default_factory=dict)  # attributes that no driver writes

    def stored(self) -> dict[str, Any]:
        """The attributes by their keys in the study file."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("passed", "others")}
        written = {key: value for key, value in values.items() if value != getattr(_DEFAULTS, key)}
        # The key says "epoch" even if progress counts steps or tokens; it is older than those.
        return {**written, **{f"{_RUNG}{rung}": _PASSED for rung in sorted(self.passed)}, **self.others}


def read_attributes(stored: Mapping[str, Any]) -> Attributes:
    """The inverse of `Attributes.stored`. Attributes with an unknown key or a wrong type are in `others`."""
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
    **dict.fromkeys(
        ("crashes", "machines_lost", "epoch_steps", "epoch_tokens", "after", "parent", "replaces", "inherited"), int
    ),
    **dict.fromkeys(("message", "taken_from", "seal"), str),
    "clock": (int, float),
    "memory": dict,
}
