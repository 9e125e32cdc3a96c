"""The extent of a space: its number of configurations, its smallest and its largest model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from search.planning.models import models_of
from search.samplers.base import Task, list_all, uniform_draws
from search.settings.experiment import Experiment
from search.space.domain import Scalar
from search.space.space import Params
from trainables.base.config import TrialConfig

LISTED = 5000  # in a space of at most so many combinations, all are examined
DRAWS = 1000  # random configurations of a larger space
SWEEPS = 3  # over all hyperparameters, starting from the best draw

Size = Callable[[TrialConfig], float]


@dataclass(frozen=True)
class Model:
    """A configuration of the space: its hyperparameters, and the whole configuration of its trial."""

    params: Params
    config: TrialConfig


@dataclass(frozen=True)
class Extent:
    """The extent of a space.

    lightest, heaviest: by the operations of training on a pair. In a large space these four models are the best of many
    draws, improved by changing one hyperparameter at a time.
    """

    combinations: float  # infinite with a continuous range
    valid: float  # the valid ones; in a large space, estimated from draws
    smallest: Model  # by parameters
    largest: Model
    lightest: Model
    heaviest: Model


def measure_extent(experiment: Experiment) -> Extent:
    """Examine the space; the result is always the same."""
    space, combinations, models = experiment.space, experiment.space.size(), models_of(experiment)
    task = Task(space, experiment.accept, seed=0)
    if combinations <= LISTED:
        draws = list_all(task)
        valid: float = len(draws)
    else:
        drawn = list(islice(uniform_draws(task, np.random.default_rng(0)), DRAWS))
        draws = [params for params in drawn if experiment.accept(params) is not None]
        valid = combinations * len(draws) / len(drawn)
    whole = combinations <= LISTED

    def find(size: Size) -> Model:
        found = max(draws, key=lambda params: size(experiment.trial.with_values(params)))
        return _model(experiment, found if whole else _climb(experiment, found, size))

    return Extent(
        combinations,
        valid,
        smallest=find(lambda config: -models.parameters(config)),
        largest=find(models.parameters),
        lightest=find(lambda config: -models.work_of_pair(config)),
        heaviest=find(models.work_of_pair),
    )


def _model(experiment: Experiment, params: Params) -> Model:
    accepted = experiment.accept(params)
    assert accepted is not None
    return Model(accepted, experiment.trial.with_values(accepted))


def _climb(experiment: Experiment, params: Params, size: Size) -> Params:
    """Change one hyperparameter at a time, as long as that makes the model larger."""
    best = size(experiment.trial.with_values(params))
    for _ in range(SWEEPS):
        before = best
        for path in experiment.space.domains:
            for value in _ends(experiment, path):
                moved = {**params, path: value}
                if experiment.accept(moved) is None:
                    continue
                if (reached := size(experiment.trial.with_values(moved))) > best:
                    params, best = moved, reached
        if best == before:
            break
    return params


def _ends(experiment: Experiment, path: str) -> Iterable[Scalar]:
    """The values of a list, or the ends of a range."""
    domain = experiment.space.domains[path]
    return domain.values or (domain.near(0.0), domain.near(1.0))
