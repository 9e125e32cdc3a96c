"""Patience: a training ends when its validation loss no longer falls, with the model of its best report."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from trainables.base.report import EpochReport, read_report

LOSS = "valid_nll_per_char"  # which decides, as it is the least noisy; less is better
Weights = dict[str, Tensor]


class Patience:
    """The best report of a training so far, its weights, and how many reports came after it."""

    def __init__(self, most: int):
        """most: reports in a row that may be no better."""
        self.most, self.waited = most, 0
        self.report: EpochReport | None = None
        self.weights: Weights = {}

    def expects(self, loss: float) -> bool:
        """Whether this loss is the lowest so far."""
        return self.report is None or loss < self.report.score(LOSS)

    def see(self, report: EpochReport, weights: Weights) -> None:
        """Take a report, with the weights of its model on the CPU."""
        if self.expects(report.score(LOSS)):
            self.report, self.weights, self.waited = report, weights, 0
        else:
            self.waited += 1

    @property
    def is_over(self) -> bool:
        """Whether the training ends with its best report so far."""
        return self.waited >= self.most

    def repeat(self, epoch: float, step: int, token: int | None) -> EpochReport:
        """The best report, as if it came at this progress, without training or validation."""
        assert self.report is not None
        figures = {**self.report.figures, "tokens": 0}
        return replace(
            self.report, epoch=epoch, step=step, token=token, figures=figures, train_seconds=0.0, eval_seconds=0.0
        )

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        stored = self.report.stored() if self.report else None
        return {"report": stored, "weights": self.weights, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.report = read_report(state["report"]) if state["report"] else None
        self.weights, self.waited = state["weights"], state["waited"]
