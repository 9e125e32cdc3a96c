"""What a training run reports."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from trainables.base.metrics import MetricName

Unit = Literal["epoch", "step"]


@dataclass(frozen=True)
class EpochReport:
    """The results of one epoch, or of one round of `report_steps`.

    Losses are in nats without label smoothing, so that train and valid are the same quantity.
    """

    epoch: float  # passes over the training text so far; whole without `report_steps`
    step: int  # optimizer steps so far
    train_loss: float  # per target token, with dropout, mean over the epoch or round
    valid_loss: float  # per target token
    valid_nll_per_char: float  # per character of the reference: comparable between vocabularies
    valid_bleu: float  # greedy decoding, 0..100
    train_seconds: float
    eval_seconds: float
    tokens: int  # target tokens trained on in this epoch or round
    devices: float = 1.0  # that it had: GPUs, or a share of one; a CPU slot counts as one
    gpu_memory_gib: float | None = None  # the peak while training; None without a GPU
    gpu_utilization: float | None = None  # percent, near the end of training; None without a GPU or NVML

    def progress(self, unit: Unit) -> int:
        """How far the training has come, in the unit that scores, rungs and checkpoints of a search count."""
        return self.step if unit == "step" else int(self.epoch)

    def score(self, metric: MetricName) -> float:
        """The number that is called so in `METRICS`."""
        return float(getattr(self, metric))

    @property
    def device_seconds(self) -> float:
        """Seconds of training and validation, times the devices: half an hour on a quarter of a GPU is 450 s."""
        return (self.train_seconds + self.eval_seconds) * self.devices


def read_report(values: Mapping[str, Any]) -> EpochReport:
    """The report that a record of a file, or of another process, holds beside other keys.

    Raises KeyError for a value that is missing, TypeError for one that is no number.
    """
    found: dict[str, Any] = {}
    for field in fields(EpochReport):
        if field.default is not MISSING and field.name not in values:
            continue  # as of an earlier version
        value = values[field.name]
        if not (isinstance(value, int | float) or value is field.default is None):
            raise TypeError(f"{field.name}: {value!r} is no number")
        found[field.name] = value
    return EpochReport(**found)
