"""When a training reports: after which optimizer steps, and how its progress is counted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from trainables.base.config import TrainingConfig
from trainables.base.errors import UserError


@dataclass(frozen=True)
class Rounds:
    """The rounds of a training, each with a report at its end.

    Progress counts epochs, optimizer steps or target tokens, as `TrainingConfig.unit` says. Batches have about equally
    many tokens, so tokens are counted by the share of an epoch's steps that was taken: the same on every machine, and
    known before training.

    Attributes:
        training: Its length, and how often it reports.
        epoch_steps: The optimizer steps of an epoch.
        epoch_tokens: The target tokens of an epoch; only needed if progress counts tokens.
    """

    training: TrainingConfig
    epoch_steps: int
    epoch_tokens: int = 0

    @property
    def per_epoch(self) -> int:
        """The progress that an epoch makes."""
        return {"epoch": 1, "step": self.epoch_steps, "token": self.epoch_tokens}[self.training.unit]

    @property
    def last(self) -> int:
        """The progress of the last report."""
        return self.training.last_progress(self.per_epoch)

    @property
    def total_steps(self) -> int:
        """The optimizer steps of the whole training."""
        return self.training.last_progress(self.epoch_steps)

    @property
    def count(self) -> int:
        """The number of reports."""
        return math.ceil(self.last / self.training.report_every)

    def check(self) -> None:
        """Raises UserError if a round can be without a step."""
        training = self.training
        if training.report_every * self.epoch_steps < self.per_epoch:
            raise UserError(
                f"{training.report_key}: {training.report_every:,} is less than the "
                f"{math.ceil(self.per_epoch / self.epoch_steps):,} target tokens of a batch; give at least that"
            )

    def after(self, progress: int) -> int:
        """The progress of the report that follows the one at `progress`."""
        return min(progress + self.training.report_every, self.last)

    def step(self, progress: int) -> int:
        """The optimizer steps that were taken at a report."""
        return self.total_steps if progress == self.last else progress * self.epoch_steps // self.per_epoch

    def epoch(self, progress: int) -> float:
        """Passes over the training text at a report; whole ones as an int."""
        whole, rest = divmod(progress, self.per_epoch)
        return progress / self.per_epoch if rest else whole

    def left(self, progress: int) -> Iterator[int]:
        """The progress at each report that is left after `progress`."""
        while progress < self.last:
            progress = self.after(progress)
            yield progress
