"""The head of the report: when the search ran, on what, for how long, and at what cost; and how far a live one is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from search.finals.board import Leaderboard
from search.record.journal import JournalLine, Totals
from search.settings.experiment import Experiment
from search.settings.wording import count, duration

MACHINE = ("device", "processor", "system")  # of a start of the driver, in inputs.json
VERSIONS = ("babeltune", "python", "torch", "ray", "optuna", "sacrebleu", "sentencepiece")


@dataclass(frozen=True)
class Progress:
    """How far a search is that runs.

    Attributes:
        at: When the page was written, in seconds since 1970.
        standing: How many epochs are done, how much time is left, and what the trials do.
        running: A line for each trial in training.
        every: Seconds after which the page looks for a newer one.
    """

    at: float
    standing: str
    running: list[str]
    every: int

    @property
    def time(self) -> str:
        """The time of it, in UTC."""
        return _moment(datetime.fromtimestamp(self.at, UTC).isoformat())


def summarise(
    experiment: Experiment,
    starts: Sequence[dict[str, Any]],
    reports: list[JournalLine],
    finals: list[JournalLine],
    board: Leaderboard | None,
) -> dict[str, str]:
    """The facts by their names. starts: of the driver, from inputs.json."""
    found: dict[str, str] = {}
    times = [line.time for line in (*reports[-1:], *finals[-1:]) if line.time]
    if begun := starts[0].get("at") if starts else None:
        last = max(times, default="")
        found["date"] = _moments(begun, last) if last else _moment(begun)
        if len(starts) > 1:
            found["date"] += f", in {count(len(starts), 'start', 'starts')}"
    seconds = Totals(reports).seconds + Totals(finals).seconds
    if board:
        found["duration"] = f"{duration(board.search.wall_seconds)} by the clock for the search"
    if seconds:
        price = experiment.search.budget.price_per_gpu_hour
        bill = f", ${seconds / 3600 * price:,.2f} at ${price:g} an hour" if price else ""
        found["cost"] = f"{duration(seconds)} on devices, search and finals{bill}"
    if starts:
        found["hardware"] = "; ".join(str(starts[-1][name]) for name in MACHINE if starts[-1].get(name))
        found["versions"] = ", ".join(f"{name} {starts[-1][name]}" for name in VERSIONS if starts[-1].get(name))
    return {name: fact for name, fact in found.items() if fact}


def _moments(begun: str, last: str) -> str:
    """Two moments, with one date if it is the same."""
    first, second = _moment(begun), _moment(last)
    day, time = second.split(", ")
    return f"{first.rpartition(' ')[0]} to {time}" if first.startswith(f"{day},") else f"{first} to {second}"


def _moment(text: str) -> str:
    """2026-01-02T04:04:05+0100 -> "2 January 2026, 03:04 UTC"."""
    when = datetime.fromisoformat(text).astimezone(UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"
