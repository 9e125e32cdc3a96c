"""Runs at a glance: what a folder of runs has, and how far one of them is. Reads files alone, and no study."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from search.finals.board import read_leaderboard
from search.record.driver_log import LOG
from search.record.journal import JournalLine, Totals, read_lines
from search.run_directory.finding import EXPERIMENT
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from trainables.base.errors import UserError
from trainables.base.files import read_bytes
from trainables.base.holder import is_driven
from trainables.base.translator_config import TranslatorConfig

PROGRESS = re.compile(r"^(\S+ \S+)Z INFO +((?:search|finals): .*)$", re.MULTILINE)
LAST = 200_000  # bytes of the log that are read
TIME = "%Y-%m-%d %H:%M:%S"


class State(StrEnum):
    """What goes on with a run."""

    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Overview:
    """A run at a glance.

    Attributes:
        path: The run directory.
        state: What goes on with it.
        subject: What is searched: the corpus and its languages, or the problem.
        trials: Trials that have reported.
        best: The best score so far, in words; empty before the first.
        seconds: Device seconds of search and finals.
        latest: When it last reported, in UTC; None before the first report.
        message: Why it can't be read.
    """

    path: Path
    state: State
    subject: str = ""
    trials: int = 0
    best: str = ""
    seconds: float = 0.0
    latest: datetime | None = None
    message: str = ""


def overviews(output_dir: str | os.PathLike[str] = "runs") -> list[Overview]:
    """All runs in a folder, the latest first.

    A run that can't be read is among them, with the reason.
    """
    found = [overview(file.parent) for file in Path(output_dir).glob(f"*/{EXPERIMENT}")]
    return sorted(found, key=lambda run: run.latest or _modified(run.path), reverse=True)


def overview(run_dir: Path) -> Overview:
    """A run at a glance."""
    try:
        experiment = stored_experiment(run_dir)
        trials, finals = read_lines(run_dir / "trials.jsonl"), read_lines(run_dir / "finals.jsonl")
        best = _ranked(experiment) or _best_so_far(experiment, trials)
    except UserError as error:
        return Overview(run_dir, State.UNREADABLE, message=str(error))
    times = [line.time for line in (*trials[-1:], *finals[-1:]) if line.time]
    return Overview(
        path=run_dir,
        state=state_of(run_dir),
        subject=subject_of(experiment),
        trials=len({line.trial for line in trials}),
        best=best,
        seconds=Totals(trials).seconds + Totals(finals).seconds,
        latest=max(map(datetime.fromisoformat, times), default=None),
    )


def state_of(run_dir: Path) -> State:
    """What goes on with a run that can be read."""
    if is_driven(run_dir):
        return State.RUNNING
    return State.ENDED if (run_dir / "leaderboard.json").exists() else State.STOPPED


def subject_of(experiment: Experiment) -> str:
    """What is searched: "multi30k en-fr", or the title of the problem."""
    trial = experiment.trial
    if not isinstance(trial, TranslatorConfig):
        return experiment.definition.title
    return f"{Path(trial.data.path).name} {trial.data.source}-{trial.data.target}"


def latest_progress(run_dir: Path) -> tuple[datetime, str] | None:
    """When the driver last wrote how far it is, in UTC, and what; None if it has not."""
    try:
        text = read_bytes(run_dir / LOG)[-LAST:].decode(errors="replace")
    except OSError:
        return None
    found = list(PROGRESS.finditer(text))
    return (datetime.strptime(found[-1][1], TIME).replace(tzinfo=UTC), found[-1][2]) if found else None


def _ranked(experiment: Experiment) -> str:
    """The first model's score on the test data, in words; empty before the ranking."""
    file = experiment.run_dir / "leaderboard.json"
    if not file.exists():
        return ""
    board = read_leaderboard(file)
    on_valid = experiment.search.metrics.get(board.metric.replace("test_", "valid_"))
    title = on_valid.title.replace("valid", "test") if on_valid else board.metric.replace("_", " ")
    return f"{board.ranking[0].score:.2f} {title}"


def _best_so_far(experiment: Experiment, lines: list[JournalLine]) -> str:
    metric = experiment.search.compared_by
    scores = [line.report.score(experiment.search.metric) for line in lines]
    return f"{metric.show(max(scores, key=metric.worth))} {metric.title}" if scores else ""


def _modified(run_dir: Path) -> datetime:
    return datetime.fromtimestamp((run_dir / EXPERIMENT).stat().st_mtime, UTC)
