"""Steps of one model as CUDA graphs, and the choice of the step for a training."""

import torch
from torch import Tensor

from trainables.acceleration.stacked import StackedStep
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import Prepared
from trainables.training.loop import EagerStep, Step


class CapturedStep:
    """A `Step` that is captured once for each shape of a batch; needs a GPU and `batch_shapes`."""

    def __init__(self, config: TranslationConfig, prepared: Prepared, device: torch.device):
        """Raises TooLarge."""
        self._steps = StackedStep([config], prepared, device)
        (self.learner,) = self._steps.learners

    def begin(self, seed: int) -> None:
        self._steps.begin([seed])

    def __call__(self, source: Tensor, target: Tensor, rate: float) -> None:
        self._steps([(source, target)], [rate])

    def loss(self) -> float:
        (loss,) = self._steps.losses()
        return loss


def choose_step(config: TranslationConfig, prepared: Prepared, device: torch.device) -> Step:
    """The fastest `Step` for one model on the device. Raises TooLarge."""
    captured = device.type == "cuda" and config.captured
    return (CapturedStep if captured else EagerStep)(config, prepared, device)
