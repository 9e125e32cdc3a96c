"""Fronts: the points that no other beats in all goals, the volume that they cover, and what a new point would add.

A point has a height, of which more is better, and costs, of which less is better.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

FAR, TINY = 30.0, 1e-300  # so many standard deviations away a normal cost counts as known


def non_dominated(heights: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Which points are on the front: no other is at least as good in all goals, and better in one.

    heights: (n,). costs: (n, k). Returns (n,) booleans; equal points are all on the front or all not.
    """
    points = np.column_stack((-heights, costs))
    no_worse = (points[:, None] <= points[None]).all(-1)  # (n, n): the first is nowhere worse than the second
    better = (points[:, None] < points[None]).any(-1)
    beaten = [bool(column.any()) for column in np.logical_and(no_worse, better).T]
    return ~np.array(beaten, dtype=bool)


def ranks(heights: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The non-dominated rank of each point (Deb et al. 2002): 0 on the front, 1 on that of the others, and so on."""
    rank = np.full(len(heights), -1)
    while (left := np.flatnonzero(rank < 0)).size:
        rank[left[non_dominated(heights[left], costs[left])]] = rank.max() + 1
    return rank


@dataclass(frozen=True)
class Cells:
    """The space of costs, cut at the costs of a front; each cell with the greatest height at no more than its costs.

    Attributes:
        lower: (cells, k), the least costs of each cell; -inf below all points.
        upper: (cells, k), its greatest costs.
        levels: (cells,), the height that a point in it must exceed to add something.
    """

    lower: np.ndarray
    upper: np.ndarray
    levels: np.ndarray

    @classmethod
    def of(cls, heights: np.ndarray, costs: np.ndarray, least: float, most: np.ndarray) -> "Cells":
        """The cells of a front.

        Args:
            heights: (n,) of any points; those that are not above `least` are left out.
            costs: (n, k).
            least: The height that counts as nothing.
            most: (k,), the greatest costs that count.
        """
        counts = (heights > least) & (costs < most).all(1)
        heights, costs = heights[counts], costs[counts]
        front = non_dominated(heights, costs)
        heights, costs = heights[front], costs[front]
        cuts = [np.concatenate(([-np.inf], np.unique(axis), [end])) for axis, end in zip(costs.T, most, strict=True)]
        lower = np.array(list(itertools.product(*(cut[:-1] for cut in cuts))))
        upper = np.array(list(itertools.product(*(cut[1:] for cut in cuts))))
        reached = (costs[None] <= lower[:, None]).all(-1)  # (cells, points)
        return cls(lower, upper, np.where(reached, heights, least).max(1, initial=least))

    def volume(self, least: float) -> float:
        """The volume between the height `least` and the front."""
        above = self.levels > least
        sizes = (self.upper[above] - self.lower[above]).prod(1)
        return float(sizes @ (self.levels[above] - least))


def hypervolume(heights: np.ndarray, costs: np.ndarray, least: float, most: np.ndarray) -> float:
    """The volume that points dominate (Zitzler and Thiele 1998); arguments as in `Cells.of`."""
    return Cells.of(heights, costs, least, most).volume(least)


def spread_along(heights: np.ndarray, costs: np.ndarray, count: int) -> list[int]:
    """`count` points spread along the front: each adds the most volume to those before it. The first is the highest.

    When the front has fewer, points of the next fronts follow, the highest first. costs: finite.
    """
    chosen: list[int] = [int(np.lexsort((*costs.T, -heights))[0])] if len(heights) else []
    rank, most = ranks(heights, costs), costs.max(0, initial=-np.inf) + 1e-9
    least = float(heights.min(initial=np.inf)) - 1e-9
    front = np.flatnonzero(rank == 0)
    while len(chosen) < min(count, len(front)):
        volumes = []
        for row in front:
            those = np.array([*chosen, int(row)])
            volumes.append(-np.inf if row in chosen else hypervolume(heights[those], costs[those], least, most))
        chosen.append(int(front[int(np.argmax(volumes))]))
    rest = [int(row) for row in np.lexsort((-heights, rank)) if row not in chosen]
    return [*chosen, *rest[: count - len(chosen)]]


def covered(cells: Cells, costs: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """The logarithm of the part of each cell's size that costs no less than a point, as expected for normal costs.

    Costs are independent of each other; a deviation of 0 is a cost that is known. costs, deviations: (n, k).
    Returns (n, cells).
    """
    part = np.zeros((len(costs), len(cells.levels)))
    for goal in range(costs.shape[1]):
        cost, deviation = costs[:, goal, None], deviations[:, goal, None]
        with np.errstate(divide="ignore"):
            upper, lower = (_beyond(edge[:, goal], cost, deviation) for edge in (cells.upper, cells.lower))
            part += np.log(upper - lower)
    return part


def _beyond(edge: np.ndarray, cost: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E[max(edge - cost, 0)]: (cells,), (n, 1), (n, 1) -> (n, cells)."""
    gap = edge - cost
    v = np.clip(gap / np.maximum(deviation, TINY), -FAR, FAR)
    uncertain = deviation * (np.exp(-0.5 * v**2) / math.sqrt(2 * math.pi) + v * ndtr(v))
    found: np.ndarray = np.where(np.abs(gap) < FAR * deviation, uncertain, np.maximum(gap, 0))
    return found
