"""Refuses a search that does not fit on this machine, before it starts."""

from pathlib import Path

from rich.filesize import decimal

from search.planning.estimate import Estimate
from search.planning.extent import Extent
from search.planning.machine import available_memory, free_disk, gpu_memory
from search.planning.models import models_of
from search.settings.experiment import Experiment
from search.settings.wording import describe
from trainables.base.errors import UserError
from trainables.base.log import warn


def check_memory(experiment: Experiment, extent: Extent) -> None:
    """Raises UserError if the largest model of the space can't be trained on this machine.

    Does nothing on a cluster, where other machines train.
    """
    if experiment.cluster is not None:
        return
    gpu = gpu_memory()
    there, what = (gpu, "its GPU has") if gpu is not None else (available_memory()[0], "it has")
    models, largest = models_of(experiment), extent.largest
    parameters, needed = models.parameters(largest.config), models.training_bytes(largest.config)
    if needed > there:
        drop = "drop the largest values"
        if largest.config.num_parameters is not None:
            drop = f"set search.max_parameters to {_round_down(there / needed * parameters / 2)} or less, or {drop}"
        raise UserError(
            f"space: its largest model, {describe(largest.params)}, has {parameters:,} parameters; to train it takes "
            f"{_bytes(needed)} on this machine, and {what} {_bytes(there)}; {drop}"
        )


def check_disk(experiment: Experiment, estimate: Estimate) -> None:
    """Raises UserError if the checkpoints can't fit on the disk; warns if they may not."""
    folder = Path(experiment.output_dir)
    free, low, high = free_disk(folder), estimate.disk.low, estimate.disk.high
    left = f"output_dir: {folder} has {_bytes(free)} of disk left"
    if low > free:
        raise UserError(
            f"{left}, and this search takes {_bytes(low)} to {_bytes(high)} for its checkpoints; name another folder, "
            "lower search.trials or search.max_parameters, or name a storage"
        )
    if high > free:
        warn(f"{left}, and this search may take {_bytes(high)} for its checkpoints")


def _bytes(number: float) -> str:
    return decimal(round(number))


def _round_down(number: float) -> int:
    """The number with two digits, rounded down."""
    digits = max(0, len(str(int(number))) - 2)
    return int(number // 10**digits * 10**digits)
