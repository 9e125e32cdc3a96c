"""How many trials share a GPU: as many of the largest models as fit into its memory."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from search.samplers.base import Task, distinct, uniform_draws
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from trainables.base.config import TrialConfig
from trainables.training.gpu import Need

MARGIN = 1.1  # for memory fragmentation, and for larger batches than the probe's
DRAWS = 1000  # random configurations among which the largest models are found


def largest_models(experiment: Experiment) -> list[TrialConfig]:
    """The configurations of the space, among random ones, that may take most memory."""
    task = Task(experiment.space, experiment.accept, seed=0)
    rng = np.random.default_rng(0)
    configs = [
        experiment.trial.with_values(params) for params in islice(distinct(task, uniform_draws(task, rng), rng), DRAWS)
    ]
    preparation: Preparation = experiment.definition.part("preparation")
    return preparation.largest(configs)


def share_of_gpu(needs: Sequence[Need], cores: int) -> float:
    """The share of a GPU that each trial gets, so that the largest need fits on every GPU.

    cores: the CPU cores for each GPU; each trial gets one. If not even one trial fits, it still gets a whole GPU and
    ends as infeasible. It also gets a whole GPU if nothing could be measured.
    """
    fit = min((int(need.total / (need.peak * MARGIN)) for need in needs), default=1)
    count = max(1, min(fit, cores))
    return int(10_000 / count) / 10_000  # Ray rounds shares to four digits
