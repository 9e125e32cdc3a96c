"""The reports of a trial's training."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from trainables.base.errors import Diverged

Unit = Literal["epoch", "step", "token"]


@dataclass(frozen=True)
class EpochReport:
    """The results of one epoch, or of one round of `report_steps` or `report_tokens`."""

    epoch: float  # passes over the training data so far; whole if reports come by epochs
    step: int  # optimizer steps so far
    figures: dict[str, float] = field(default_factory=dict)  # by name: the problem's metrics, and other figures
    train_seconds: float = field(kw_only=True)
    eval_seconds: float = field(kw_only=True)
    devices: float = 1.0  # GPUs of the trial, or a share of one; a CPU slot counts as one
    token: int | None = None  # target tokens so far; None unless reports come by tokens
    gpu_memory_gib: float | None = None  # peak during training; None without a GPU
    gpu_utilization: float | None = None  # percent, near the end of training; None without a GPU or NVML

    def progress(self, unit: Unit) -> int:
        """The progress of the training, in the unit of scores, rungs and checkpoints."""
        return {"epoch": int(self.epoch), "step": self.step, "token": self.token or 0}[unit]

    def score(self, metric: str) -> float:
        """The figure of that name. Raises KeyError."""
        return float(self.figures[metric])

    @property
    def device_seconds(self) -> float:
        """Seconds of training and validation times devices: half an hour on a quarter of a GPU is 450 s."""
        return (self.train_seconds + self.eval_seconds) * self.devices

    @property
    def repeats(self) -> bool:
        """Whether it repeats an earlier report, without training; see trainables/training/patience.py."""
        return self.figures.get("tokens") == 0

    def stored(self) -> dict[str, Any]:
        """All numbers by name, including the figures, for files and other processes."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.token is None:
            del values["token"]
        return {"epoch": values.pop("epoch"), "step": values.pop("step"), **values.pop("figures"), **values}


# Names that no figure can have, as reports and the lines of a journal need them.
TAKEN = {*(each.name for each in fields(EpochReport)), "trial", "clock", "time", "seal", "number", "outcome"}
Report = tuple[int, EpochReport | Diverged]  # of the trial at this place of a list


def read_report(values: Mapping[str, Any]) -> EpochReport:
    """The inverse of `EpochReport.stored`.

    Raises KeyError for a value that is missing, TypeError for one that is not a number.
    """
    found: dict[str, Any] = {}
    for each in fields(EpochReport):
        if each.name == "figures" or (each.default is not MISSING and each.name not in values):
            continue  # from an earlier version
        found[each.name] = _number(each.name, values[each.name], optional=each.default is None)
    figures = {name: _number(name, value) for name, value in values.items() if name not in found}
    return EpochReport(**found, figures=figures)


def _number(name: str, value: Any, optional: bool = False) -> Any:
    if isinstance(value, int | float) or (optional and value is None):
        return value
    raise TypeError(f"{name}: {value!r} is not a number")
