"""What a plan needs to know of the models of a problem."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from search.settings.experiment import Experiment

if TYPE_CHECKING:  # they import torch
    from trainables.data.encoding.preparing import PreparedText
    from trainables.training.loop import Steps

FLOAT = 4  # bytes of a number in float32


@dataclass(frozen=True)
class Probed:
    """A model that is ready to be measured."""

    prepared: "PreparedText"
    step: "Steps"
    translate: Callable[[list[str], int], Any]  # sentences, by a beam of this size
    longest: int | None  # the most tokens of a translation
    trained: bool  # whether its translations end where those of a trained model do


class Models(Protocol):
    """The models of a problem, by the configurations of their trials; see `search.settings.problem.Problem`."""

    def work_of_pair(self, config: Any) -> float:
        """Operations of training on a typical pair; only ratios between trials matter."""
        ...

    def parameters(self, config: Any) -> int:
        """The number of parameters of the model."""
        ...

    def state_bytes(self, config: Any) -> int:
        """The bytes of a checkpoint."""
        ...

    def training_bytes(self, config: Any) -> int:
        """The bytes of weights, gradients and moments while it is trained."""
        ...

    def prepare(self, config: Any, cache: Path) -> "PreparedText":
        """The corpus of a trial in tokens."""
        ...

    def probed(self, config: Any, cache: Path) -> Probed:
        """The model on this process's device, ready to be measured. Raises UserError, TooLarge."""
        ...


def models_of(experiment: Experiment) -> Models:
    """The models of the problem of an experiment, which can be planned."""
    found: Models = experiment.definition.part("planning")
    return found
