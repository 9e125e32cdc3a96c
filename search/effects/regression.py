"""Regression on scores that some trials have only up to a rung, with intervals of its coefficients."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f, t

CONFIDENCE = 0.95
PENALTY = 1.0  # on columns from the second stage on, in trials: as if one more trial had shown no effect


@dataclass(frozen=True)
class Part:
    """The part of one regression in the uncertainty of the last score's coefficients."""

    covariance: np.ndarray  # (columns, columns)
    freedom: float
    share: float  # the share of trials that reached its stage


@dataclass(frozen=True)
class Fit:
    """The coefficients of the last score (columns,), and the scores of all trials at all stages (trials, stages).

    completed: the observed scores, and expected ones for stages that a trial did not reach.
    margins: (trials,), half of the 95% interval of an expected last score; 0 if it was observed.
    """

    coefficients: np.ndarray
    parts: list[Part]
    completed: np.ndarray
    margins: np.ndarray

    def estimate(self, weights: np.ndarray) -> float:
        """A linear combination of the coefficients."""
        return float(weights @ self.coefficients)

    def margin(self, weights: np.ndarray, growth: float = 1.0) -> float:
        """Half of the 95% interval of a linear combination; degrees of freedom are combined by Welch (1947).

        growth: the factor for the number of trials, to extrapolate.
        """
        variances = [max(float(weights @ part.covariance @ weights), 0.0) for part in self.parts]
        if not (total := sum(variances)):
            return 0.0
        return quantile(self._freedom(variances, growth)) * (total / growth) ** 0.5

    def needed(self, weights: np.ndarray, scale: float) -> int | None:
        """About how many trials would make the 95% interval half as wide as the scale.

        None if it is not wider than the scale now.
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
        """The p-value of a Wald test that all these coefficients are 0."""
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
    """The number of standard errors in half of an interval."""
    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def fit(columns: np.ndarray, scores: np.ndarray) -> Fit:
    """Least squares over stages, where the score at a stage decides which trials reach the next one.

    columns: (trials, p); the first column is ones. scores: (trials, stages), NaN after a trial was stopped; no trial
    lacks the first. The first scores are regressed on the columns. Each later score is regressed on the previous score
    and the columns, among the trials that have it, as only the previous score decided which these are. Combined, the
    stages give the coefficients of the last score: the factored likelihood of monotone missing data (Anderson 1957). A
    ridge penalty is on the columns from the second stage on, where few trials are left. With one stage, this is
    ordinary least squares.
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
        onwards = np.column_stack([coefficients, np.eye(len(coefficients))])  # how both kinds of errors propagate
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
    """The share, 0 to 1, of a column's variance that other columns and a constant explain."""
    centred = column - column.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    wide = np.column_stack([np.ones(len(column)), others])
    rest = column - wide @ np.linalg.lstsq(wide, column, rcond=None)[0]
    return 1 - float(rest @ rest) / total
