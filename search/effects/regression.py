"""Weighted least squares, with what its coefficients are worth."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import f, t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Fit:
    """Coefficients (columns,), their covariance in units of a score's variance, and the variance that is left."""

    coefficients: np.ndarray
    covariance: np.ndarray  # (columns, columns)
    residual: float  # weighted sum of squares
    freedom: int  # degrees of freedom of the residual

    @property
    def deviation(self) -> float:
        """Standard deviation of a score around what the columns say."""
        return float(np.sqrt(self.residual / self.freedom)) if self.freedom > 0 else float("nan")

    def estimate(self, weights: np.ndarray) -> float:
        """A linear combination of the coefficients."""
        return float(weights @ self.coefficients)

    def margin(self, weights: np.ndarray, deviation: float, freedom: int) -> float:
        """Half of the 95% interval of `estimate`, where a score has this standard deviation, known to `freedom`."""
        variance = max(float(weights @ self.covariance @ weights), 0.0)
        return float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * deviation * variance**0.5


def fit(columns: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> Fit:
    """Least squares of scores (n,) on columns (n, p), each score weighing as much as said.

    Columns that repeat others share their effect, and what can be told beside them is still right.
    """
    root = np.sqrt(weights)
    x, y = columns * root[:, None], scores * root
    covariance = np.linalg.pinv(x.T @ x, hermitian=True)
    coefficients = covariance @ (x.T @ y)
    residual = y - x @ coefficients
    return Fit(coefficients, covariance, float(residual @ residual), len(y) - int(np.linalg.matrix_rank(x)))


def fit_forecasts(columns: np.ndarray, scores: np.ndarray, variances: np.ndarray) -> tuple[Fit, np.ndarray]:
    """The fit where some scores are forecasts with variances (n,), and the weights (n,) that it gave them.

    A forecast weighs what a score's variance is of both variances together; a first fit tells a score's variance.
    """
    first = fit(columns, scores, np.ones(len(scores)))
    own = max(first.deviation**2, 1e-12) if first.freedom > 0 else 1.0
    weights = own / (own + variances)
    return fit(columns, scores, weights), weights


def improvement(small: Fit, large: Fit) -> float:
    """The chance (p-value of an F test) that further columns explain so much by accident."""
    more = small.freedom - large.freedom
    if more < 1 or large.freedom < 1 or large.residual <= 0:
        return 1.0
    ratio = (small.residual - large.residual) / more / (large.residual / large.freedom)
    return float(f.sf(ratio, more, large.freedom))


def explained(column: np.ndarray, others: np.ndarray) -> float:
    """The share (0 to 1) of a column's variance that other columns and a constant say."""
    centred = column - column.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    rest = fit(np.column_stack([np.ones(len(column)), others]), column, np.ones(len(column))).residual
    return 1 - rest / total
