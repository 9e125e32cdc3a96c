"""Functional ANOVA of a random forest (Hutter et al. 2014): the share of the variance that one hyperparameter explains.

The numbers are those of Optuna's `FanovaImportanceEvaluator`, which walks each tree once for each value at which it
splits. Here a tree is the arrays of its leaves' boxes: the mean over all other hyperparameters is a sum over leaves.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.space.domain import Scalar
from search.space.space import Params

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree

TREES, DEPTH = 64, 64  # Optuna's defaults
SEED = 0


def fanova(
    distributions: dict[str, BaseDistribution], configurations: list[Params], scores: np.ndarray
) -> dict[str, float]:
    """The shares, which add up to 1, of the hyperparameters that all configurations use.

    All are 0 if no tree finds a difference between the scores.
    """
    from sklearn.ensemble import RandomForestRegressor  # a second

    used = [path for path in sorted(distributions) if all(path in params for params in configurations)]
    varied = [path for path in used if not distributions[path].single()]
    shares = dict.fromkeys(used, 0.0)
    if not varied:
        return shares
    parts = [_encode(distributions[path], [params[path] for params in configurations]) for path in varied]
    places = np.hstack([columns for columns, _ in parts])
    bounds = np.vstack([ends for _, ends in parts])
    forest = RandomForestRegressor(TREES, max_depth=DEPTH, random_state=SEED).fit(places, scores)
    cuts = np.cumsum([columns.shape[1] for columns, _ in parts])[:-1]
    groups = np.split(np.arange(len(bounds)), cuts)
    trees = [_Leaves(each.tree_, bounds) for each in forest.estimators_]
    found = np.array([[tree.explained(columns) for columns in groups] for tree in trees if tree.variance > 0])
    if found.size and (total := (means := found.mean(axis=0)).sum()) > 0:
        shares |= dict(zip(varied, (means / total).tolist(), strict=True))
    return shares


def _encode(distribution: BaseDistribution, values: Sequence[Scalar]) -> tuple[np.ndarray, np.ndarray]:
    """The columns of a hyperparameter, (trials, columns), and their lower and upper ends, (columns, 2).

    A number is a column as it is; each of listed values has a column that is 1 for it and 0 for others.
    """
    if isinstance(distribution, CategoricalDistribution):
        number = len(distribution.choices)
        chosen = [int(distribution.to_internal_repr(value)) for value in values]
        return np.eye(number)[chosen], np.tile([0.0, 1.0], (number, 1))
    ends = distribution.low, distribution.high  # type: ignore[attr-defined]
    return np.array(values, dtype=float)[:, None], np.array([ends], dtype=float)


class _Leaves:
    """The leaves of a tree. low, high: their boxes as shares of the bounds, (leaves, columns)."""

    def __init__(self, tree: "Tree", bounds: np.ndarray):
        low, high = np.tile(bounds[:, 0], (tree.node_count, 1)), np.tile(bounds[:, 1], (tree.node_count, 1))
        parents = np.zeros(1, dtype=int)
        while (parents := parents[tree.feature[parents] >= 0]).size:  # a level of the tree after the other
            left, right = tree.children_left[parents], tree.children_right[parents]
            column, threshold = tree.feature[parents], tree.threshold[parents]
            for children in (left, right):
                low[children], high[children] = low[parents], high[parents]
            high[left, column] = low[right, column] = threshold
            parents = np.concatenate([left, right])
        leaves = tree.feature < 0
        start, size = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        self.low, self.high = (low[leaves] - start) / size, (high[leaves] - start) / size
        self.spans = self.high - self.low
        self.volumes = self.spans.prod(axis=1)
        values = tree.value[leaves, 0, 0]
        self.values = values - self.volumes @ values
        self.variance = float(self.volumes @ self.values**2)

    def explained(self, columns: np.ndarray) -> float:
        """The share of the variance that is that of the mean over all other columns."""
        variance = self._of_number(columns[0]) if len(columns) == 1 else self._of_choice(columns)
        return max(0.0, variance) / self.variance

    def _of_number(self, column: int) -> float:
        """Between neighbouring splits the mean is constant: each leaf adds to it from its lower to its upper end."""
        low, high, span = self.low[:, column], self.high[:, column], self.spans[:, column]
        adds = self.values * np.divide(self.volumes, span, out=np.zeros_like(span), where=span > 0)
        ends = np.unique(np.concatenate([low, high]))
        steps = np.zeros(len(ends))
        np.add.at(steps, np.searchsorted(ends, low), adds)
        np.add.at(steps, np.searchsorted(ends, high), -adds)
        return float(np.diff(ends) @ np.cumsum(steps)[:-1] ** 2)

    def _of_choice(self, columns: np.ndarray) -> float:
        """The square of the mean, as a sum over pairs of boxes times the size of what both cover.

        The columns are 0 or 1, so each is split at 1/2 at most and few boxes differ.
        """
        boxes, which = np.unique(np.hstack([self.low[:, columns], self.high[:, columns]]), axis=0, return_inverse=True)
        low, high = np.hsplit(boxes, 2)
        others = self.volumes / self.spans[:, columns].prod(axis=1)
        adds = np.bincount(which.ravel(), weights=self.values * others)
        common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        return float(adds @ common.clip(0).prod(axis=-1) @ adds)
