"""What the driver hands to a worker, and what the worker answers.

Ray Tune carries both as dictionaries of plain values, since a node may have other versions than the driver; they are
made and read in this file alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.base.config import TrialConfig
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport, read_report

if TYPE_CHECKING:  # it imports torch, which who hands out trials can do without
    from trainables.sharing.storage import Storage


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker; one that was interrupted continues from its checkpoint."""

    number: int  # of the trial in its study
    config: TrialConfig
    checkpoints: Path
    progress: int  # that the study knows of; a checkpoint may be one report ahead of it
    others: tuple["Assignment", ...] = ()  # that the same worker trains as one with it

    @property
    def group(self) -> tuple["Assignment", ...]:
        """It and the others."""
        return (self, *self.others)

    @property
    def key(self) -> str:
        """The key of its checkpoints in a storage, such as trials/3."""
        return "/".join(self.checkpoints.parts[-2:])


@dataclass(frozen=True)
class WorkerSetup:
    """What is the same for all workers of a driver."""

    cache: Path
    driver_lock: Path
    gpus: float  # of a trial; below 1 the share of one that its process may use
    keep: int  # how many checkpoints of a trial stay
    storage: "Storage | None"  # in the place of those paths
    versions: dict[str, str | None]  # of the driver, by `installed.own_versions`
    problem: str  # module:NAME
    home: Path  # the driver's working directory, from which the user's code is imported


@dataclass(frozen=True)
class Reported:
    """A trial's training has come further, and its checkpoint is on disk."""

    number: int
    report: EpochReport


@dataclass(frozen=True)
class Ended:
    """A trial ended by itself: diverged, infeasible (memory is too small for it) or failed."""

    number: int
    outcome: Outcome
    message: str


@dataclass(frozen=True)
class Halted:
    """The machine is at fault, as with a full disk, so that all trials alike would fail."""

    message: str


Answer = Reported | Ended | Halted
HALTED = "halted"  # in the place of an outcome
_REPORT = "report."  # before the names of its numbers: Tune adds keys of its own
_PATHS = ("cache", "driver_lock", "home")


def to_tune(assignment: Assignment, setup: WorkerSetup) -> dict[str, Any]:
    """The configuration of a Tune trial."""
    trials = [
        {
            "number": each.number,
            "config": each.config.model_dump(mode="json"),
            "checkpoints": str(each.checkpoints),
            "progress": each.progress,
        }
        for each in assignment.group
    ]
    return {"trials": trials, "setup": {**vars(setup), **{name: str(getattr(setup, name)) for name in _PATHS}}}


def read_setup(given: Mapping[str, Any]) -> WorkerSetup:
    """The inverse of `to_tune`."""
    setup = given["setup"]
    return WorkerSetup(**{**setup, **{name: Path(setup[name]) for name in _PATHS}})


def read_assignment(given: Mapping[str, Any], config_class: type[TrialConfig]) -> Assignment:
    """The inverse of `to_tune`; the class is that of the problem."""
    first, *others = (
        {**each, "config": config_class.model_validate(each["config"]), "checkpoints": Path(each["checkpoints"])}
        for each in given["trials"]
    )
    return Assignment(**first, others=tuple(Assignment(**other) for other in others))


def numbers(given: Mapping[str, Any]) -> list[int]:
    """The numbers of the trials in the configuration of a Tune trial."""
    return [each["number"] for each in given["trials"]]


def to_result(answer: Answer) -> dict[str, Any]:
    """What `tune.report` takes."""
    match answer:
        case Reported(number, report):
            return {"number": number, **{f"{_REPORT}{name}": value for name, value in report.stored().items()}}
        case Ended(number, outcome, message):
            return {"number": number, "outcome": outcome.value, "message": message}
        case Halted(message):
            return {"outcome": HALTED, "message": message}


def read_result(result: Mapping[str, Any]) -> Answer:
    """The inverse of `to_result`; Tune adds keys of its own."""
    if "outcome" not in result:
        report = {key.removeprefix(_REPORT): value for key, value in result.items() if key.startswith(_REPORT)}
        return Reported(result["number"], read_report(report))
    if result["outcome"] == HALTED:
        return Halted(result["message"])
    return Ended(result["number"], Outcome(result["outcome"]), result["message"])
