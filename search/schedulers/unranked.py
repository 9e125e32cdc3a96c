"""No early stopping."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.base import Decision, finite
from search.schedulers.kind import SchedulerSettings, Task


@dataclass(frozen=True)
class ToTheEnd:
    """Every trial runs to its last epoch, unless it diverges."""

    rungs: tuple[int, ...] = ()

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        return "go" if finite(trial) else "stop"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        return None


class UnrankedSettings(SchedulerSettings):
    """Trains all trials to the end."""

    fronts: ClassVar[bool] = True

    kind: Literal["none"] = "none"

    def make(self, task: Task) -> ToTheEnd:
        return ToTheEnd()
