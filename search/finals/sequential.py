"""P-values and intervals of a comparison that is looked at again and again while trainings are added.

Each look at growing data is another chance to find a difference that is not there. Alpha spending (Lan and DeMets 1983)
keeps the chance over all looks at the level: up to the share t of the information that is available at most, level × t³
is spent (the power family of Kim and DeMets 1987). So early looks find only what is clear, and the last one is nearly
as sharp as if it were the only one: once it is known that no look follows, all that is left is spent. Information is
the inverse of the variance of the difference. Looks then have the joint distribution of a Brownian motion at the times
t, also if the test items are the same at each look, as every look has their error.

For p-values of Student's t the nominal level of a look is used as it is (Jennison and Turnbull 2000, section 3.8).
`bench/race.py` shows by simulation that the error stays within the level.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

POWER = 3.0  # of t; with 1 or 2, `bench/race.py` finds fewer answers by as many trainings
SMALLEST = 1e-9  # p-values are searched from here
APART = 1e-6  # looks are different if their information differs by more


def nominal_level(information: Sequence[float], level: float, over: bool = False) -> float:
    """The two-sided level of the last look that keeps the level over all looks.

    information: at each look, as a share of the most, growing, above 0 and at most 1. over: whether no look follows.
    """
    times = _distinct(information)
    return float(2 * ndtr(-_paths(times, level, over)[0] / math.sqrt(times[-1])))


@lru_cache(4096)  # looks to come share those of the past
def _paths(times: tuple[float, ...], level: float, over: bool = False) -> tuple[float, np.ndarray, np.ndarray]:
    """The bound at the last time, the points between the bounds, and how many paths are there that crossed none."""
    if not times:
        return 0.0, np.zeros(1), np.ones(1)
    _, points, density = _paths(times[:-1], level)
    before = times[-2] if len(times) > 1 else 0.0
    step = math.sqrt(times[-1] - before)
    furthest = float(np.abs(points).max()) + 9 * step
    spent = level * ((1.0 if over else times[-1] ** POWER) - before**POWER)
    bound = brentq(_crossing, 0.0, furthest, (points, density, step, spent), xtol=1e-9)
    nodes, weights = _quadrature(bound, step)
    kernel = np.exp(-0.5 * ((nodes[:, None] - points) / step) ** 2) / (step * math.sqrt(2 * math.pi))
    return bound, nodes, weights * (kernel @ density)


def repeated_p(p: float, information: Sequence[float], over: bool = False) -> float:
    """The p-value of the last look, corrected for the looks before: the smallest level at which it is significant.

    information, over: as in `nominal_level`.
    """

    def excess(log_level: float) -> float:
        return math.log(nominal_level(information, math.exp(log_level), over)) - math.log(p)

    low, high = math.log(SMALLEST), math.log(0.999)
    if p >= 1 or excess(high) < 0:
        return 1.0
    return SMALLEST if excess(low) > 0 else math.exp(brentq(excess, low, high, xtol=1e-4))


def _crossing(bound: float, points: np.ndarray, density: np.ndarray, step: float, wanted: float) -> float:
    """How many paths more than wanted are beyond the bound, to either side, after a step."""
    beyond = ndtr((points - bound) / step) + ndtr((-points - bound) / step)
    return float(density @ beyond) - wanted


def _distinct(information: Sequence[float]) -> tuple[float, ...]:
    """The looks at which there was more to see."""
    times: list[float] = []
    for time in information:
        if not times or time > times[-1] + APART:
            times.append(min(1.0, time))
    return tuple(times)


def _quadrature(bound: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights between -bound and bound, close enough for a normal density of this standard deviation."""
    nodes, weights = _rule(16 * math.ceil(min(400, max(24, 6 * bound / step)) / 16))
    return nodes * bound, weights * bound


_rule = cache(np.polynomial.legendre.leggauss)
