"""Regression on scores that some trials have only up to a rung, and what its coefficients are worth."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f, t

CONFIDENCE = 0.95
PENALTY = 1.0  # of what a column says beyond the rung before, in trials: as if one more had shown nothing


@dataclass(frozen=True)
class Part:
    """One regression's share in the uncertainty of the last score's coefficients."""

    covariance: np.ndarray  # (columns, columns)
    freedom: float
    share: float  # of all trials, how many had come so far


@dataclass(frozen=True)
class Fit:
    """Coefficients (columns,) of the last score, and all scores of each trial (trials, stages).

    The scores are as if the trial had gone on to the end: those that were seen as they are, the others as expected.

    margins: (trials,), half of the 95% interval of a last score that is expected; 0 of one that was seen.
    """

    coefficients: np.ndarray
    parts: list[Part]
    completed: np.ndarray
    margins: np.ndarray

    def estimate(self, weights: np.ndarray) -> float:
        """A linear combination of the coefficients."""
        return float(weights @ self.coefficients)

    def margin(self, weights: np.ndarray, growth: float = 1.0) -> float:
        """Half of its 95% interval; degrees of freedom are put together after Welch (1947).

        growth: as it would be with so many times as many trials of the same kind.
        """
        variances = [max(float(weights @ part.covariance @ weights), 0.0) for part in self.parts]
        if not (total := sum(variances)):
            return 0.0
        return quantile(self._freedom(variances, growth)) * (total / growth) ** 0.5

    def needed(self, weights: np.ndarray, scale: float) -> int | None:
        """The trials, about, with which its 95% interval would be half of the scale wide.

        None if it is no wider than the scale as it is.
        """
        if not 0 < scale < 2 * self.margin(weights):
            return None
        growth = 1.0
        while 4 * self.margin(weights, growth) > scale:
            growth *= 1.05
        trials = growth * len(self.completed)
        unit = max(1, 10 ** math.floor(math.log10(trials)) // 2)
        return math.ceil(trials / unit) * unit

    def chance(self, columns: slice) -> float:
        """The p-value of a Wald test that these coefficients are all 0."""
        values = self.coefficients[columns]
        covariance = sum(part.covariance[columns, columns] for part in self.parts)
        variances = [float(np.trace(part.covariance[columns, columns])) for part in self.parts]
        if not sum(variances):
            return 1.0
        ratio = float(values @ np.linalg.pinv(covariance, hermitian=True) @ values) / len(values)
        return float(f.sf(ratio, len(values), self._freedom(variances)))

    def _freedom(self, variances: list[float], growth: float = 1.0) -> float:
        more = (growth - 1) * len(self.completed)
        shares = zip(variances, self.parts, strict=True)
        return sum(variances) ** 2 / sum(variance**2 / (part.freedom + part.share * more) for variance, part in shares)


def quantile(freedom: float) -> float:
    """How many standard errors the half of an interval is."""
    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def fit(columns: np.ndarray, scores: np.ndarray) -> Fit:
    """Least squares over stages: trials go on from one to the next because of their score there.

    columns: (trials, p), the first of ones. scores: (trials, stages), NaN after a trial has stopped; all have the
    first. These are regressed on the columns; each later one, among the trials that have it, on the score before and
    the columns, as nothing but that score decided who went on. What the columns say of the last score follows by
    putting the stages together: the likelihood of monotone missing data, factored (Anderson 1957), with a ridge
    penalty on the columns from the second stage on, where few trials are left. With one stage, ordinary least squares.
    """
    inverse = np.linalg.pinv(columns.T @ columns, hermitian=True)
    coefficients = inverse @ columns.T @ scores[:, 0]
    residual = scores[:, 0] - columns @ coefficients
    freedom = max(1.0, float(len(scores) - np.linalg.matrix_rank(columns)))
    variance = float(residual @ residual) / freedom
    parts = [Part(variance * inverse, freedom, 1.0)]
    completed = scores.copy()
    spread, squares = np.zeros(len(scores)), np.zeros(len(scores))  # of forecasts: variances, and as Welch adds them up
    penalty = PENALTY * np.diag([0.0, *columns.var(axis=0)])
    for stage in range(1, scores.shape[1]):
        here = ~np.isnan(scores[:, stage])
        before = np.column_stack([completed[:, stage - 1], columns])  # as seen, where the score of this stage is
        seen = before[here]
        inverse = np.linalg.pinv(seen.T @ seen + penalty, hermitian=True)
        found = inverse @ seen.T @ scores[here, stage]
        residual = scores[here, stage] - seen @ found
        freedom = max(1.0, float(here.sum() - np.trace(seen @ inverse @ seen.T)))
        variance = float(residual @ residual) / freedom
        uncertain = inverse * variance
        onwards = np.column_stack([coefficients, np.eye(len(coefficients))])  # how both sorts of errors go on
        parts = [replace(part, covariance=found[0] ** 2 * part.covariance) for part in parts]
        parts.append(Part(onwards @ uncertain @ onwards.T, freedom, float(here.mean())))
        coefficients = found[0] * coefficients + found[1:]
        completed[~here, stage] = before[~here] @ found
        own = variance + ((before @ uncertain) * before).sum(axis=1)
        spread = np.where(here, 0, found[0] ** 2 * spread + own)
        squares = np.where(here, 0, found[0] ** 4 * squares + own**2 / freedom)
    known = spread == 0
    margins = t.ppf((1 + CONFIDENCE) / 2, spread**2 / np.where(known, 1, squares)) * spread**0.5
    return Fit(coefficients, parts, completed, np.where(known, 0, margins))


def explained(column: np.ndarray, others: np.ndarray) -> float:
    """The share (0 to 1) of a column's variance that other columns and a constant say."""
    centred = column - column.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    wide = np.column_stack([np.ones(len(column)), others])
    rest = column - wide @ np.linalg.lstsq(wide, column, rcond=None)[0]
    return 1 - float(rest @ rest) / total
