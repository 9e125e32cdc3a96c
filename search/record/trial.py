"""One trial of a study, as it is in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search.record.attributes import Attributes
from search.space.space import Params
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport, Unit
from trainables.base.sealing import checksum

if TYPE_CHECKING:
    from optuna.trial import TrialState

_FROM_BIRTH = ("memory", "parent", "replaces", "inherited")


def _running() -> "TrialState":
    from optuna.trial import TrialState  # half a second, and configurations import this file

    return TrialState.RUNNING


@dataclass
class StudyTrial:
    """A copy in memory of one trial of the study."""

    number: int
    storage_id: int
    params: Params
    state: "TrialState" = field(default_factory=_running)
    scores: dict[int, float] = field(default_factory=dict)  # progress -> metric
    attributes: Attributes = field(default_factory=Attributes)
    value: float | None = None  # that Optuna was given at the end
    losses: dict[int, float] = field(default_factory=dict)  # progress -> loss, see `Study.merit`
    figures: Mapping[str, float] = field(default_factory=dict)  # of its last report
    device_seconds: float = 0.0  # that its reports took

    @property
    def progress(self) -> int:
        """How far training has come, by the last report: in epochs, or in the steps or tokens of `training`.

        Scores, rungs and checkpoints are numbered by it. `epochs` counts passes over the training text.
        """
        return max(self.scores, default=0)

    @property
    def epochs(self) -> float:
        """Epochs trained; may be fractional if reports come by steps or tokens."""
        whole, rest = divmod(self.progress, self.per_epoch or 1)
        return self.progress / (self.per_epoch or 1) if rest else whole

    @property
    def per_epoch(self) -> int | None:
        """The steps or tokens in an epoch, if its progress counts them and it has reported."""
        return self.attributes.epoch_steps or self.attributes.epoch_tokens

    @property
    def unit(self) -> Unit:
        """The unit of its progress."""
        if self.attributes.epoch_tokens is not None:
            return "token"
        return "epoch" if self.attributes.epoch_steps is None else "step"

    def note(self, report: EpochReport) -> None:
        """Keep what is needed of a report in memory."""
        self.figures, self.device_seconds = report.figures, self.device_seconds + report.device_seconds

    @property
    def running(self) -> bool:
        """Whether it has not ended: it is being trained, waits at a rung, or waits for a worker."""
        return self.state.name == "RUNNING"

    @property
    def outcome(self) -> Outcome:
        """How it ended; RUNNING until then."""
        return self.attributes.outcome or Outcome.RUNNING

    @property
    def inherited(self) -> int:
        """The number of epochs that its parent had trained; 0 without a parent."""
        return self.attributes.inherited

    @property
    def trained(self) -> float:
        """Epochs trained by itself, without those of its parent."""
        return self.epochs - self.inherited

    @property
    def is_sealed(self) -> bool:
        """Whether it is unchanged since it was created; trials of version 0.1 have no seal and count as unchanged."""
        return self.attributes.seal in (None, seal_of(self.params, self.attributes))

    def passed(self, rung: int) -> bool:
        """Whether the study says that the trial continues after this rung."""
        return rung in self.attributes.passed

    def parked(self, rungs: tuple[int, ...]) -> bool:
        """Whether it waits at a rung."""
        return self.running and self.progress in rungs and not self.passed(self.progress)


def seal_of(params: Params, attributes: Attributes) -> str:
    """The checksum of what a trial has since it was created."""
    stored = attributes.stored()
    return checksum([params, {key: stored[key] for key in _FROM_BIRTH if key in stored}])
