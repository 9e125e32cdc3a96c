"""The first trials of a search: a few points that say as much as possible about every hyperparameter."""

import math
from itertools import islice

import numpy as np

from search.samplers.base import Task, distinct, uniform_draws
from search.samplers.coding import Coding
from search.space.space import Params

POOL = 400  # trials that a design is chosen from
SETS = 300  # random sets; the most balanced one is used


def draw_pool(task: Task, rng: np.random.Generator) -> list[Params]:
    """Random trials from the whole space."""
    return list(islice(distinct(task, uniform_draws(task, rng), rng), POOL))


def balanced_design(task: Task, count: int, pool: list[Params] | None = None) -> list[Params]:
    """`count` valid configurations: each hyperparameter's values evenly spread, columns uncorrelated, points apart.

    Scores many random sets by these criteria and returns the best one. That is in the spirit of Latin hypercubes (McKay
    et al. 1979), which don't exist for a space with constraints. pool: what to choose from; draws of the space if None.
    """
    rng = np.random.default_rng([task.seed, 4])
    if pool is None:
        pool = draw_pool(task, rng)
    if len(pool) <= count:
        return pool
    coding = Coding(task.space)
    places = coding.places(pool)
    places = np.where(np.isnan(places), 0.5, places)
    columns = coding.columns(coding.places(pool))
    even = (np.arange(count) + 0.5) / count
    best, chosen = math.inf, np.arange(count)
    for _ in range(SETS):
        rows = rng.choice(len(pool), count, replace=False)
        spread = np.abs(np.sort(places[rows], axis=0) - even[:, None]).mean()
        centred = places[rows] - 0.5
        correlation = centred.T @ centred / count
        np.fill_diagonal(correlation, 0.0)
        apart = ((columns[rows, None] - columns[None, rows]) ** 2).sum(-1)
        apart[np.diag_indices(count)] = math.inf
        score = spread + 2 * (correlation**2).sum() - 0.15 * math.sqrt(apart.min())
        if score < best:
            best, chosen = score, rows
    return [pool[row] for row in chosen]
