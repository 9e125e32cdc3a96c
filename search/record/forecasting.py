"""Forecasts of a trial's final score from its score at a rung, and whether the rung says anything about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PENALTY = 1.0  # of the slope, in runs: as if one more run had shown a slope of 0
LEAST_CORRELATION = 0.3  # of scores at a rung with final ones; a rung below it is ignored
ENOUGH_FINISHED = 8  # finished trials before a rung may be ignored
SURE = 1.28  # standard deviations, for a one-sided confidence of 0.9
LEAST_STD = 1e-9  # of a forecast, as no regression over a few runs is certain


@dataclass(frozen=True)
class Forecast:
    """A regression line with its uncertainty, in the unit of final scores; centre and scale are in the rung's."""

    centre: float
    scale: float
    mean: float  # final of a run at the centre
    slope: float  # per scale
    noise: float  # standard deviation of a final around the line
    runs: int

    def predict(self, value: float) -> tuple[float, float]:
        """The mean and standard deviation of the final of a run with this value at the rung.

        The deviation covers the scatter of final scores around the line and the error of the line itself, so it grows
        with the distance from the runs that were seen.
        """
        x = (value - self.centre) / self.scale
        std = self.noise * np.sqrt(1 + 1 / self.runs + x**2 / (self.runs + PENALTY))
        return self.mean + self.slope * x, max(float(std), LEAST_STD)


def fit(rung_values: Sequence[float], finals: Sequence[float]) -> Forecast:
    """Ridge regression of finals on rung values over finished runs (Hoerl and Kennard 1970).

    Only the slope is penalised, in standard units; if rung values say nothing, the forecast is the mean. The noise is
    estimated with the degrees of freedom that mean and slope leave. Raises ValueError for fewer than three runs, or
    for numbers that are not finite.
    """
    x, y = np.asarray(rung_values, float), np.asarray(finals, float)
    if len(x) != len(y) or len(x) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"a forecast needs three or more pairs of finite numbers, got {len(x)} and {len(y)}")
    centre, scale, mean = float(x.mean()), float(x.std()) or 1.0, float(y.mean())
    z = (x - centre) / scale
    shrunk = float(z @ z) + PENALTY
    slope = float(z @ (y - mean)) / shrunk
    residual = y - mean - slope * z
    freedom = len(x) - 1 - float(z @ z) / shrunk
    return Forecast(centre, scale, mean, slope, float(np.sqrt(residual @ residual / freedom)), len(x))


@lru_cache
def misleads(at_rung: tuple[float, ...], at_end: tuple[float, ...]) -> bool:
    """Whether scores at a rung say next to nothing about final scores, by the trials that were trained to the end.

    That is so if their rank correlation is below 0.3 with a confidence of 0.9 (Fisher's z). The bound is far below the
    correlation of a good rung, because only trials that passed the rungs are seen, which lowers the correlation.
    """
    if len(at_end) < ENOUGH_FINISHED:
        return False
    most = np.arctanh(np.clip(rank_correlation(at_rung, at_end), -0.999, 0.999)) + SURE / math.sqrt(len(at_end) - 3)
    return bool(most < np.arctanh(LEAST_CORRELATION))


def rank_correlation(at_rung: tuple[float, ...], at_end: tuple[float, ...]) -> float:
    """Spearman's rank correlation; 0 if one of them is constant."""
    from scipy.stats import spearmanr  # takes a second to import

    varied = len(set(at_rung)) > 1 and len(set(at_end)) > 1
    return float(spearmanr(at_rung, at_end).statistic) if varied else 0.0
