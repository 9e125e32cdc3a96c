"""Refuses a search that does not fit on this machine, before it starts."""

from pathlib import Path

from rich.filesize import decimal

from search.planning.estimate import Estimate
from search.planning.extent import Extent
from search.planning.machine import available_memory, free_disk, gpu_memory
from search.planning.size import parameters_of
from search.settings.experiment import Experiment
from search.settings.wording import describe
from trainables.base.errors import UserError
from trainables.base.log import warn

TRAINING_BYTES = 16  # for each parameter: the weight, its gradient and Adam's two moments in float32


def check_memory(experiment: Experiment, extent: Extent) -> None:
    """Raises UserError if the largest model of the space can't be trained on this machine.

    Does nothing on a cluster, where other machines train.
    """
    if experiment.cluster is not None:
        return
    gpu = gpu_memory()
    there, what = (gpu, "its GPU has") if gpu is not None else (available_memory()[0], "it has")
    parameters = parameters_of(extent.largest.config)
    if (needed := TRAINING_BYTES * parameters) > there:
        raise UserError(
            f"space: its largest model, {describe(extent.largest.params)}, has {parameters:,} parameters; to train it "
            f"takes {_bytes(needed)} on this machine, and {what} {_bytes(there)}; set search.max_parameters to "
            f"{_round_down(there / TRAINING_BYTES / 2)} or less, or drop the largest values"
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
