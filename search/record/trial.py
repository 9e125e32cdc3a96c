"""One trial of a study, as it is in memory."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search.record.attributes import Attributes
from search.space.space import Params
from trainables.base.outcomes import Outcome
from trainables.base.report import Unit
from trainables.base.sealing import checksum

if TYPE_CHECKING:
    from optuna.trial import TrialState

_FROM_BIRTH = ("memory", "parent", "replaces", "inherited")


def _running() -> "TrialState":
    from optuna.trial import TrialState  # takes half a second to import, and configurations name kinds that use trials

    return TrialState.RUNNING


@dataclass
class StudyTrial:
    """The mirror of one trial in memory."""

    number: int
    storage_id: int
    params: Params
    state: "TrialState" = field(default_factory=_running)
    scores: dict[int, float] = field(default_factory=dict)  # progress -> metric
    attributes: Attributes = field(default_factory=Attributes)
    value: float | None = None  # what Optuna was told at the end
    losses: dict[int, float] = field(default_factory=dict)  # beside scores: by the metric that decides instead

    @property
    def progress(self) -> int:
        """How far it has come by its last report: in epochs, or in steps where `training.report_steps` is set.

        Scores, rungs and checkpoints are numbered by it. `epochs` are passes over the training text.
        """
        return max(self.scores, default=0)

    @property
    def epochs(self) -> float:
        """Epochs trained; a fraction where reports come by steps."""
        steps = self.attributes.epoch_steps
        return self.progress / steps if steps and self.progress % steps else self.progress // (steps or 1)

    @property
    def unit(self) -> Unit:
        """What its progress counts."""
        return "epoch" if self.attributes.epoch_steps is None else "step"

    @property
    def running(self) -> bool:
        """Whether it is trained, waits at a rung, or waits for a worker."""
        return self.state.name == "RUNNING"

    @property
    def outcome(self) -> Outcome:
        """How it stands."""
        return self.attributes.outcome or Outcome.RUNNING

    @property
    def inherited(self) -> int:
        """How many of its epochs its parent trained; 0 for a trial without one."""
        return self.attributes.inherited

    @property
    def trained(self) -> float:
        """Epochs that it trained itself."""
        return self.epochs - self.inherited

    @property
    def is_sealed(self) -> bool:
        """Whether it is as it was made; one of version 0.1 is taken as it is."""
        return self.attributes.seal in (None, seal_of(self.params, self.attributes))

    def passed(self, rung: int) -> bool:
        """Whether it was decided, and written, that the trial goes on after this rung."""
        return rung in self.attributes.passed

    def parked(self, rungs: tuple[int, ...]) -> bool:
        """Whether it waits at a rung."""
        return self.running and self.progress in rungs and not self.passed(self.progress)


def seal_of(params: Params, attributes: Attributes) -> str:
    """The checksum of what a trial has from the start."""
    stored = attributes.stored()
    return checksum([params, {key: stored[key] for key in _FROM_BIRTH if key in stored}])
