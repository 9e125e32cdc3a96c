"""What a candidate is expected to add to the front of scores and costs: exact, as known costs need no model."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from search.goals.front import Cells, covered
from search.samplers.gaussian_process import log_expected_improvement
from search.samplers.models import Axis

NOTHING = 0.25  # the quantile of the scores below which a score adds nothing


def least_height(scores: np.ndarray) -> float:
    """The height that counts as nothing, of standardised scores."""
    return float(np.quantile(scores, NOTHING))


def log_front_improvement(mean: np.ndarray, deviation: np.ndarray, axes: Sequence[Axis], cells: Cells) -> np.ndarray:
    """The logarithm of the expected growth of the volume under the front: (n,), for independent normal score and costs.

    It is the sum over cells of the part of a cell that costs no less than the candidate, times the expected improvement
    over the cell's level (Emmerich et al. 2011, for known costs).
    """
    costs = np.column_stack([axis.places for axis in axes])
    deviations = np.column_stack([axis.deviations for axis in axes])
    parts = covered(cells, costs, deviations)  # (n, cells)
    levels, where = np.unique(cells.levels, return_inverse=True)
    gains = np.stack([log_expected_improvement(mean, deviation, float(level)) for level in levels], axis=1)
    growth: np.ndarray = logsumexp(parts + gains[:, where], axis=1)
    return np.where(np.isnan(growth), -math.inf, growth)
