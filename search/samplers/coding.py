"""Configurations as points in a unit cube, for models and designs."""

import math

import numpy as np

from search.space.space import Params, SearchSpace


class Coding:
    """The hyperparameters of a space as numbers.

    A point has a place in 0..1 for each hyperparameter, NaN if it is unused. For distances, a hyperparameter whose
    values are not numbers has a column for each value, so that any two values are equally far apart.
    """

    def __init__(self, space: SearchSpace):
        self.space = space
        self._domains = list(space.domains.items())
        self._counts = np.array([domain.count() for _, domain in self._domains])
        self._ordered = [domain.is_ordered or domain.count() <= 2 for _, domain in self._domains]
        widths = [1 if ordered else int(count) for ordered, count in zip(self._ordered, self._counts, strict=True)]
        self.owners = np.repeat(np.arange(len(widths)), widths)  # column -> hyperparameter

    def places(self, configurations: list[Params]) -> np.ndarray:
        """The points of configurations: (configurations, hyperparameters)."""
        rows = [
            [domain.unit(params[path]) if path in params else math.nan for path, domain in self._domains]
            for params in configurations
        ]
        return np.array(rows, dtype=float).reshape(len(rows), len(self._domains))

    def params(self, places: np.ndarray) -> Params:
        """The configuration nearest to one point (hyperparameters,), without unused hyperparameters."""
        return {
            path: domain.near(place)
            for (path, domain), place in zip(self._domains, places.tolist(), strict=True)
            if not math.isnan(place)
        }

    def draw(self, uniform: np.ndarray) -> np.ndarray:
        """Places for uniform draws in [0, 1), (points, hyperparameters).

        Each value of a list has a share of its probability, or an equal one.
        """
        steps = np.where(np.isfinite(self._counts), self._counts, 2.0)
        chosen = np.floor(uniform * steps)
        for column, (_, domain) in enumerate(self._domains):
            if domain.shares:
                chosen[:, column] = np.searchsorted(np.cumsum(domain.shares), uniform[:, column], side="right")
        stepped = np.minimum(chosen, steps - 1) / np.maximum(steps - 1, 1)
        return np.where(np.isfinite(self._counts), stepped, uniform)

    def columns(self, places: np.ndarray) -> np.ndarray:
        """(points, hyperparameters) places -> (points, columns) for distances. NaN is equally far from all values."""
        parts = []
        for index, ordered in enumerate(self._ordered):
            place = places[:, index : index + 1]
            if ordered:
                parts.append(np.where(np.isnan(place), 0.5, place))
            else:
                count = int(self._counts[index])
                value = np.rint(place * (count - 1))
                parts.append((value == np.arange(count)) / math.sqrt(2))  # two values are 1 apart
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(places), 0))
