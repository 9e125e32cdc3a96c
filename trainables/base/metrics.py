"""What trials, and in the end models, are compared by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A number of which more, or less, is better. A problem has a table of them, by the names they have in reports."""

    title: str  # for people
    direction: Direction = "maximize"
    digits: int = 2  # behind the point, for people
    changed_by: tuple[str, ...] = ()  # hyperparameters, or groups of them, between whose values it can't be compared
    instead: str | None = None  # the metric, of which less is better, that decides where this one tells nothing
    least: float = -math.inf  # below which it says nothing of a model, if there is one to decide instead

    def tells_apart(self, scores: Sequence[float]) -> bool:
        """Whether it says which of several is best: where another may decide, not if all are below `least` or equal."""
        if self.instead is None or len(scores) < 2:
            return True
        return max(scores) >= self.least and max(scores) > min(scores)

    def worth(self, score: float) -> float:
        """The score, signed so that more is better."""
        return score if self.direction == "maximize" else -score

    def show(self, score: float) -> str:
        """12.345 -> "12.35"."""
        return f"{score:.{self.digits}f}"
