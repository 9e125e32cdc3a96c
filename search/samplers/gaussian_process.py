"""A Gaussian process over configurations, which predicts scores, and its expected improvement."""

import math
from collections.abc import Callable
from copy import copy

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import erfcx, expit

# Normal priors as (mean, standard deviation) of: the log odds of all shares together; the logarithms of lengthscale,
# noise variance and signal variance. Every hyperparameter spans 0..1, and scores have variance 1.
SHARES, LENGTHSCALE, NOISE, SIGNAL = (0.4, 1.0), (0.15, 0.4), (-4.2, 1.0), (0.0, 1.0)
JITTER = 1e-6
MORE_NOISE = 10.0 ** np.arange(-5, 5)  # variances that are tried where a covariance is not positive definite
BLOCK = 64  # points whose kernel is computed at a time
FIT_POINTS, POINTS = 150, 400  # the most points that parameters are fitted to, and that predictions use


class GaussianProcess:
    """A Gaussian process (Rasmussen and Williams 2006, chapters 2 and 5) with an ANOVA kernel (Stitson et al. 1999).

    The correlation of two points is a product over hyperparameters of 1 - share · unlike. unlike goes from 0 for equal
    values to 1 for opposite ends, along a Matérn 5/2 kernel with one lengthscale for all. Multiplied out, it is a sum
    of main effects, interactions of pairs, and so on, with falling weights. So a few scores suffice for many
    hyperparameters, and an optimum inside a range needs no short lengthscale, with which the model would know less of
    the other hyperparameters. The parameters maximise the posterior density.
    """

    def __init__(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray, owners: np.ndarray):
        """Fit the process to scores.

        points: (n, columns). scores: (n,), standardised. noise: (n,), the known variance of each score, besides the
        common one that is fitted. owners: (columns,), the hyperparameter that a column belongs to.
        """
        self._columns = [np.flatnonzero(owners == owner) for owner in range(int(owners.max(initial=-1)) + 1)]
        count, (mean, spread) = len(self._columns), SHARES
        share = (mean - math.log(max(count, 1)), spread)
        self._priors = np.array([share] * count + [LENGTHSCALE, NOISE, SIGNAL])
        chosen = _representative(scores, FIT_POINTS)
        self._parameters = self._fit(points[chosen], scores[chosen], noise[chosen])
        chosen = _representative(scores, POINTS)
        self._condition(points[chosen], scores[chosen], noise[chosen])

    @property
    def noise(self) -> float:
        """The standard deviation of a measured score around the true one."""
        return math.exp(self._parameters[-2] / 2)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean and standard deviation of scores without noise: (m, columns) -> (m,), (m,)."""
        cross = self._kernel(points, self._points)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = math.exp(self._parameters[-1]) - np.einsum("nm,nm->m", half, half)
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, points: np.ndarray) -> "GaussianProcess":
        """The process with running trials (m, columns), at their predicted means (the "Kriging believer")."""
        if not len(points):
            return self
        mean, _ = self.predict(points)
        noise = np.concatenate((self._extra, np.zeros(len(points))))
        process = copy(self)
        process._condition(np.vstack((self._points, points)), np.concatenate((self._scores, mean)), noise)
        return process

    def _condition(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray) -> None:
        self._points, self._scores, self._extra = points, scores, noise
        covariance = self._kernel(points, points)
        covariance[np.diag_indices(len(points))] += math.exp(self._parameters[-2]) + JITTER + noise
        self._factor = _factor(covariance)
        self._weights = cho_solve((self._factor, True), scores, check_finite=False)

    def _kernel(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """(n, columns), (m, columns) -> (n, m)."""
        kernel = np.full((len(left), len(right)), math.exp(self._parameters[-1]))
        shares = zip(expit(self._parameters[:-3]).tolist(), self._columns, strict=True)
        factors = [self._factors(share, left[:, columns], right[:, columns]) for share, columns in shares]
        for start in range(0, len(left), BLOCK):  # a block stays in the processor's cache
            rows = slice(start, start + BLOCK)
            for factor in factors:
                kernel[rows] *= factor(rows)
        return kernel

    def _factors(self, share: float, left: np.ndarray, right: np.ndarray) -> Callable[[slice], np.ndarray]:
        """The factors of a hyperparameter in the kernel, as a function of rows on the left: -> (rows, m)."""
        lengthscale = math.exp(self._parameters[-3])

        def factors(points: np.ndarray) -> np.ndarray:
            found: np.ndarray = 1 - share * _unlike(cdist(points, right), lengthscale)
            return found

        if len(np.unique(left[:BLOCK, 0])) > BLOCK // 2:
            return lambda rows: factors(left[rows])
        values, place = _distinct(left)  # values of a list repeat
        table = factors(values)
        return lambda rows: table[place[rows]]

    def _fit(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The most probable log odds of the shares, log lengthscale, log noise variance and log signal variance."""
        distances = np.array([pdist(points[:, columns]) for columns in self._columns])
        distances = distances.reshape(len(self._columns), len(points) * (len(points) - 1) // 2)
        bounds = [(mean - 4 * spread, mean + 4 * spread) for mean, spread in self._priors]
        found = minimize(
            self._loss,
            self._priors[:, 0],
            (distances, scores, noise),
            "L-BFGS-B",
            jac=True,
            bounds=bounds,
            options={"maxiter": 40},
        )
        fitted: np.ndarray = found.x
        return fitted

    def _loss(
        self, parameters: np.ndarray, distances: np.ndarray, scores: np.ndarray, noise: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Negative log posterior density of the parameters, and its gradient; distances: (hyperparameters, pairs)."""
        shares = expit(parameters[:-3])[:, None]
        lengthscale, common, signal = np.exp(parameters[-3:])
        unlike = _unlike(distances, lengthscale)
        factors = 1 - shares * unlike
        kernel = signal * factors.prod(0)  # (pairs,)
        try:
            factor = cholesky(
                squareform(kernel) + np.diag(signal + common + JITTER + noise), lower=True, check_finite=False
            )
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(parameters)
        inverse = cho_solve((factor, True), np.eye(len(scores)), check_finite=False)
        weights = inverse @ scores
        off = (parameters - self._priors[:, 0]) / self._priors[:, 1]
        loss = 0.5 * scores @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        outer = 0.5 * (inverse - np.outer(weights, weights))
        each = 2 * squareform(outer, checks=False) * kernel  # slope by the logarithm of a pair's kernel
        gradient = np.empty_like(parameters)
        gradient[:-3] = -(unlike / factors) @ each * (shares * (1 - shares))[:, 0]
        gradient[-3] = -((shares * _unlike_slope(distances, lengthscale, unlike) / factors) @ each).sum()
        gradient[-2] = np.trace(outer) * common
        gradient[-1] = np.trace(outer) * signal + each.sum()
        return float(loss), gradient + off / self._priors[:, 1]


def _factor(covariance: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of a covariance (n, n), with the least more noise with which it has one.

    A long lengthscale makes a product of shares slightly indefinite, which shows with many running trials.
    """
    for noise in (0.0, *MORE_NOISE):
        try:
            found: np.ndarray = cholesky(covariance + noise * np.eye(len(covariance)), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return found
    raise AssertionError("covariances are finite, and have a diagonal of at most MORE_NOISE")


def _distinct(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of points (n, columns), and which of them each row is, (n,)."""
    if points.shape[1] == 1:  # many times as fast as for rows
        values, place = np.unique(points[:, 0], return_inverse=True)
        return values[:, None], place
    values, place = np.unique(points, axis=0, return_inverse=True)
    return values, place.ravel()


def _representative(scores: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows: the best ones, and an even sample of the others."""
    if len(scores) <= most:
        return np.arange(len(scores))
    order, half = np.argsort(-scores, kind="stable"), most // 2
    rest = order[half:]
    return np.concatenate((order[:half], rest[np.linspace(0, len(rest) - 1, most - half).astype(int)]))


def _matern(distances: np.ndarray | float, lengthscale: float) -> np.ndarray:
    root = math.sqrt(5) / lengthscale * distances
    correlation: np.ndarray = (1 + root + root**2 / 3) * np.exp(-root)
    return correlation


def _unlike(distances: np.ndarray, lengthscale: float) -> np.ndarray:
    """How unlike values at these distances are: 0 at distance 0, 1 at distance 1."""
    return (1 - _matern(distances, lengthscale)) / (1 - _matern(1.0, lengthscale))


def _unlike_slope(distances: np.ndarray, lengthscale: float, unlike: np.ndarray) -> np.ndarray:
    """The slope of `_unlike` by the logarithm of the lengthscale."""

    def slope(distances: np.ndarray | float) -> np.ndarray:  # of _matern
        root = math.sqrt(5) / lengthscale * distances
        by_log: np.ndarray = root**2 / 3 * (1 + root) * np.exp(-root)
        return by_log

    return (unlike * slope(1.0) - slope(distances)) / (1 - _matern(1.0, lengthscale))


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of E[max(score - best, 0)] for normal scores: (m,), (m,) -> (m,).

    With u = (mean - best) / deviation it is log(deviation · (φ(u) + u·Φ(u))). It is computed so that values can be
    compared even if E[...] is 0 in floating point (Ament et al. 2023, section 4.1).
    """
    u = (mean - best) / deviation
    density = -0.5 * u**2 - 0.5 * math.log(2 * math.pi)
    tail = u * math.sqrt(math.pi / 2) * erfcx(-np.minimum(u, 5.0) / math.sqrt(2))  # u·Φ(u)/φ(u)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = density + np.log1p(np.maximum(tail, -1 + 1e-16))
        right = np.log(np.maximum(u, 1e-300))  # φ(u) + u·Φ(u) -> u
        left = density - 2 * np.log(np.abs(u))  # -> φ(u) / u²
    value: np.ndarray = np.where(u > 5, right, np.where(u < -30, left, middle)) + np.log(deviation)
    return value
