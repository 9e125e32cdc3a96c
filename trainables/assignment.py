"""The messages between the driver and a worker.

Ray Tune carries them as dictionaries of plain values, since a node may have other versions than the driver; only this
file makes and reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.base.config import TrialConfig
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport, read_report

if TYPE_CHECKING:  # it imports torch, which assigning trials does not need
    from trainables.sharing.storage import Storage


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker; one that was interrupted continues from its checkpoint."""

    number: int  # the number of the trial in its study
    config: TrialConfig
    checkpoints: Path
    progress: int  # known to the study; a checkpoint may be one report ahead of it
    others: tuple["Assignment", ...] = ()  # trials that the same worker trains together with it

    @property
    def group(self) -> tuple["Assignment", ...]:
        """This assignment and the others."""
        return (self, *self.others)

    @property
    def key(self) -> str:
        """The key of the trial's checkpoints in a storage, such as trials/3."""
        return "/".join(self.checkpoints.parts[-2:])


@dataclass(frozen=True)
class WorkerSetup:
    """The settings that all workers of a driver share."""

    cache: Path
    driver_lock: Path
    gpus: float  # per trial; below 1, the share of one GPU that its process may use
    keep: int  # how many checkpoints of a trial are kept
    storage: "Storage | None"  # in place of those paths
    versions: dict[str, str | None]  # of the driver, from `installed.own_versions`
    problem: str  # module:NAME
    home: Path  # the driver's working directory, from which the user's code is imported


@dataclass(frozen=True)
class Reported:
    """A report of a trial, whose checkpoint is on disk."""

    number: int
    report: EpochReport


@dataclass(frozen=True)
class Ended:
    """A trial ended by itself: diverged, infeasible (it does not fit into memory) or failed."""

    number: int
    outcome: Outcome
    message: str


@dataclass(frozen=True)
class Halted:
    """The machine is at fault, as with a full disk, so that all trials would fail."""

    message: str


Answer = Reported | Ended | Halted
HALTED = "halted"  # in place of an outcome
_REPORT = "report."  # precedes the names of figures, as Tune adds keys of its own
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
    """The dictionary for `tune.report`."""
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
