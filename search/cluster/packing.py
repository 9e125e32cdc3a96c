"""How many trials share a GPU: as many of the largest as fit into its memory."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from search.samplers.base import Task, distinct, uniform_draws
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from trainables.base.config import TrialConfig
from trainables.training.gpu import Need

MARGIN = 1.1  # for fragments, and batches that no probe has seen
DRAWS = 1000  # of a space, to find its largest models


def largest_models(experiment: Experiment) -> list[TrialConfig]:
    """Those of the space, by draws, that take most memory in one way or another."""
    task = Task(experiment.space, experiment.accept, seed=0)
    rng = np.random.default_rng(0)
    configs = [
        experiment.trial.with_values(params) for params in islice(distinct(task, uniform_draws(task, rng), rng), DRAWS)
    ]
    preparation: Preparation = experiment.definition.part("preparation")
    return preparation.largest(configs)


def share_of_gpu(needs: Sequence[Need], cores: int) -> float:
    """The share of a GPU that each trial gets: the largest need fits into it on every GPU.

    Each trial has a core of `cores`, those of a GPU. One trial has the GPU, fit or not, as it is told infeasible then;
    so where nothing could be measured.
    """
    fit = min((int(need.total / (need.peak * MARGIN)) for need in needs), default=1)
    count = max(1, min(fit, cores))
    return int(10_000 / count) / 10_000  # Ray counts shares by ten thousandths
