"""What W&B will show of a search, as plain values: the driver writes them, the follower reads them.

Imports nothing large, as the follower runs beside the training.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.base.sealing import Damaged

FEED = "tracking.jsonl"  # can be made again from study and journals
KNOWN = "wandb.json"  # the ids and addresses of the run's W&B runs
RUNNING, PARKED, INTERRUPTED = "running", "parked", "interrupted"  # otherwise an outcome of the study


@dataclass(frozen=True)
class Destination:
    """Where W&B runs are sent, and how."""

    mode: Literal["auto", "online", "offline"]
    project: str
    entity: str | None
    tags: tuple[str, ...]
    notes: str | None
    scratch: str  # a folder for the client's files while it sends a run
    patience: float  # the most seconds that a single call waits for the server
    base_url: str | None = None  # of the server; None for the one in the user's settings
    any_key: bool = False  # whether the server may get a key that may be for another server


@dataclass
class TrackedRun:
    """A trial, or the retraining of a finalist, as one W&B run, even if several processes trained it."""

    name: str
    job_type: Literal["trial", "final", "report"]
    config: dict[str, Any]  # nested; searched values also by their dotted path
    state: str
    message: str = ""
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)  # by epoch, or by step if it reports by steps

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state not in (RUNNING, PARKED, INTERRUPTED)


@dataclass(frozen=True)
class ReportContent:
    """The content of the W&B report."""

    answer: list[str]  # sentences
    ranking: list[dict[str, Any]]  # as in leaderboard.json
    metric: str  # the key of the score that it is ordered by, such as test_bleu
    heading: str  # of the score's column, such as BLEU
    beside: dict[str, str]  # heading -> key, for further columns
    curves: list[str]  # figures of the reports that are drawn in one plot
    signatures: dict[str, str]  # by score: how it was computed
    paths: list[str]  # of the searched hyperparameters
    html: str  # the path of report.html


@dataclass
class TrackedSearch:
    """A search, as far as the feed was read."""

    name: str = ""
    metric: str = ""
    goal: str = ""
    unit: str = "epoch"  # the unit of progress: epoch, step or token
    study: int = 0  # the number of earlier studies of the run
    parameters: dict[str, Any] = field(default_factory=dict)  # the space, in the grammar of sweeps
    runs: dict[str, TrackedRun] = field(default_factory=dict)  # by a key that never changes
    searched: bool = False  # whether the search is over, without its finals
    report: ReportContent | None = None


class FeedReader:
    """Reads the feed, each time from where it stopped, without an incomplete last line."""

    def __init__(self, file: Path):
        self._file = file.open("rb")
        self._rest = b""
        self.search = TrackedSearch()

    def read(self) -> bool:
        """Read new lines. Returns whether there were any. Raises Damaged."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        try:
            for line in lines:
                self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):  # not JSON, of an unknown run, or of another form
            raise Damaged(f"{self._file.name}: is damaged; resume writes it again, as does publish") from None
        return bool(lines)

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"run": key, "name": _}:
                values = {name: value for name, value in line.items() if name != "run"}
                self.search.runs[key] = TrackedRun(**values)
            case {"run": key, "step": step, "report": report}:
                self.search.runs[key].reports[step] = report
            case {"run": key, "state": state, "message": message}:
                self.search.runs[key].state, self.search.runs[key].message = state, message
            case {"report": content}:
                self.search.report = ReportContent(**content)
            case _:
                for name, value in line.items():
                    setattr(self.search, name, value)
