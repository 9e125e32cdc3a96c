"""What W&B is to show of a search, as plain values: the driver writes them, the follower reads them.

Imports nothing heavy, as the follower runs beside the training.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.base.sealing import Damaged

FEED = "tracking.jsonl"  # follows from study and journals, so that it need not survive anything
KNOWN = "wandb.json"  # what the run directory knows of its W&B runs
RUNNING, PARKED, INTERRUPTED = "running", "parked", "interrupted"  # otherwise an outcome of the study


@dataclass(frozen=True)
class Destination:
    """Where runs go, and how."""

    mode: Literal["auto", "online", "offline"]
    project: str
    entity: str | None
    tags: tuple[str, ...]
    notes: str | None
    scratch: str  # for what the client keeps of a run while it sends it
    patience: float  # seconds that a single call may wait for the server
    base_url: str | None = None  # of the server; the user's own if not given
    any_key: bool = False  # whether that server may get a key which is not known to be of it


@dataclass
class TrackedRun:
    """A trial, or the retraining of a finalist, whatever the number of processes and drivers it took."""

    name: str
    job_type: Literal["trial", "final", "report"]
    config: dict[str, Any]  # nested, and what was searched in dotted form, too
    state: str
    message: str = ""
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)  # by epoch, or by step where it reports by steps

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in (RUNNING, PARKED, INTERRUPTED)


@dataclass(frozen=True)
class ReportContent:
    """What the W&B report says, once all is done."""

    answer: list[str]  # sentences
    ranking: list[dict[str, Any]]  # as leaderboard.json has it
    metric: str  # by which it is, such as test_bleu
    heading: str  # of its column, such as BLEU
    beside: dict[str, str]  # further columns, by their headings
    curves: list[str]  # figures of the reports that belong in one plot
    signatures: dict[str, str]  # how scores were computed, by score
    paths: list[str]  # of the hyperparameters that were searched
    html: str  # the path of report.html


@dataclass
class TrackedSearch:
    """All that was read of a search so far."""

    name: str = ""
    metric: str = ""
    goal: str = ""
    unit: str = "epoch"  # what reports are counted in: epoch or step
    study: int = 0  # how many studies of the run came before
    parameters: dict[str, Any] = field(default_factory=dict)  # the space, in the grammar of sweeps
    runs: dict[str, TrackedRun] = field(default_factory=dict)  # by a key that stays
    searched: bool = False  # whether the search itself is over, and the finalists are chosen
    report: ReportContent | None = None


class FeedReader:
    """Reads on where it has stopped; a line that is still being written waits."""

    def __init__(self, file: Path):
        self._file = file.open("rb")
        self._rest = b""
        self.search = TrackedSearch()

    def read(self) -> bool:
        """Take in what is new; whether there was any. Raises Damaged."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        try:
            for line in lines:
                self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, of no run, or of another form
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
