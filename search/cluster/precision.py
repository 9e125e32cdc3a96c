"""What `training.precision: auto` is on CPUs: measured once, when a search begins, and the same for all its trials."""

from pathlib import Path

from rich.console import Console

from search.cluster.joining import ask_workers, joined_ray, living_nodes
from search.cluster.slots import Slots
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from search.settings.problem import find_problem
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.log import say, warn
from trainables.sharing.storage import Storage

WORTH = 1.2  # bfloat16 must be so many times as fast on each machine


def decide_precision(
    experiment: Experiment, slots: Slots, console: Console, storage: Storage | None = None
) -> Experiment:
    """The experiment, with bf16 if that makes its first trial faster here and on all nodes of its cluster.

    As the run keeps the answer, all its trials are trained alike, also where it is resumed. Otherwise nothing changes,
    and `auto` is float32 on CPUs. Trials with GPUs decide for themselves, and a deterministic search may not depend on
    a measurement.
    """
    undecided = getattr(experiment.training, "precision", None) == "auto"
    if not undecided or slots.gpus or experiment.search.deterministic:
        return experiment
    first = experiment.trial.with_values(next(iter(experiment.first_trials()), {}))
    asked = experiment.problem, first, experiment.cache
    with console.status("measuring training steps in bfloat16"):
        gain = _gain(*asked)
        if gain >= WORTH and experiment.cluster:
            try:
                with joined_ray(experiment.cluster):
                    gain = min([gain, *ask_workers(living_nodes(), "CPU", _gain, *asked, storage)])
            except UserError as error:
                warn(f"training.precision: float32, as bfloat16 could not be measured on all nodes: {error}")
                return experiment
    if gain < WORTH:
        return experiment
    say(f"training.precision: bf16, as steps of the first trial are {gain:.1f} times as fast with it as with float32")
    return experiment.with_values({"training.precision": "bf16"})


def warn_of_emulation(experiment: Experiment, slots: Slots) -> None:
    """Warn if trials are in bf16 and the CPUs here only emulate it, as a run may have begun on another machine."""
    if getattr(experiment.training, "precision", None) != "bf16" or slots.gpus or experiment.cluster:
        return
    from trainables.acceleration.bfloat16 import gain_of_products

    if (gain := gain_of_products()) < 1:
        warn(
            f"training.precision: bf16, but this processor has no instructions for it: products take {1 / gain:.1f} "
            "times as long as in float32; resume on another machine, or start a new search with float32"
        )


def _gain(problem: str, config: TrialConfig, cache: Path, storage: Storage | None = None) -> float:
    preparation: Preparation = find_problem(problem).part("preparation")
    return preparation.gain_of_bfloat16(config, cache, storage)
