"""The metrics by which trials and final models are compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A number of which more, or less, is better. A problem has a table of them, by their names in reports."""

    title: str  # for people
    direction: Direction = "maximize"
    digits: int = 2  # shown after the decimal point
    changed_by: tuple[str, ...] = ()  # hyperparameters, or groups of them, whose values make it incomparable
    instead: str | None = None  # the metric, less is better, that decides if this one says nothing
    least: float = -math.inf  # below this it says nothing about a model, if another metric can decide

    def tells_apart(self, scores: Sequence[float]) -> bool:
        """Whether it says which of several is best. Not if another can decide and all are below `least` or equal."""
        if self.instead is None or len(scores) < 2:
            return True
        return max(scores) >= self.least and max(scores) > min(scores)

    def worth(self, score: float) -> float:
        """The score, signed so that more is better."""
        return score if self.direction == "maximize" else -score

    def show(self, score: float) -> str:
        """12.345 -> "12.35"."""
        return f"{score:.{self.digits}f}"
