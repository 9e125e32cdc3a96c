"""A Gaussian process over configurations: what is known of scores that nobody has measured yet."""

import math

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx

# Log-normal priors as (mean, standard deviation) of the logarithm; every hyperparameter spans 0..1 and scores have
# variance 1. Long lengthscales: with the few trials of a search, short ones make the model see noise as structure.
LENGTHSCALE, NOISE, SIGNAL = (math.log(2.0), 0.8), (-4.2, 1.0), (0.0, 1.0)
JITTER = 1e-6
FIT_POINTS = 200  # the hyperparameters are fitted to at most so many points: the cost is cubic


class GaussianProcess:
    """Matérn 5/2 kernel with a lengthscale a hyperparameter (Rasmussen and Williams 2006, chapters 2, 4, 5).

    Its own parameters are those of the highest posterior density; see `log_posterior`.
    """

    def __init__(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray, owners: np.ndarray):
        """points: (n, columns); scores: (n,), standardised; noise: (n,), known variance of each score beside the
        common one that is fitted; owners: (columns,), the hyperparameter that a column belongs to."""
        self._owners = owners
        self._dimensions = int(owners.max()) + 1 if len(owners) else 0
        self._priors = np.array([LENGTHSCALE] * self._dimensions + [NOISE, SIGNAL])
        self._parameters = self._fit(points, scores, noise)
        self._condition(points, scores, noise)

    @property
    def noise(self) -> float:
        """Standard deviation of a measured score around the true one."""
        return math.exp(self._parameters[-2] / 2)

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the scores without their noise: (m, columns) -> (m,), (m,)."""
        cross = self._kernel(points, self._points)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = math.exp(self._parameters[-1]) - np.einsum("nm,nm->m", half, half)
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believe(self, points: np.ndarray) -> None:
        """Take what is predicted for these points (m, columns) for measured: runs that have not ended yet."""
        if len(points):
            mean, _ = self.predict(points)
            noise = np.concatenate((self._extra, np.zeros(len(points))))
            self._condition(np.vstack((self._points, points)), np.concatenate((self._scores, mean)), noise)

    def _condition(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray) -> None:
        self._points, self._scores, self._extra = points, scores, noise
        covariance = self._kernel(points, points)
        covariance[np.diag_indices(len(points))] += math.exp(self._parameters[-2]) + JITTER + noise
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), scores, check_finite=False)

    def _kernel(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        scale = np.exp(-self._parameters[: self._dimensions])[self._owners]
        left, right = left * scale, right * scale
        squared = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        root = np.sqrt(5 * np.maximum(squared, 0.0))
        kernel: np.ndarray = math.exp(self._parameters[-1]) * (1 + root + root**2 / 3) * np.exp(-root)
        return kernel

    def _fit(self, points: np.ndarray, scores: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The most probable log lengthscales, log noise variance and log signal variance."""
        if len(points) > FIT_POINTS:  # the best ones and an even share of the others
            order = np.argsort(-scores, kind="stable")
            half = FIT_POINTS // 2
            rest = order[half:]
            chosen = np.concatenate((order[:half], rest[np.linspace(0, len(rest) - 1, half).astype(int)]))
            points, scores, noise = points[chosen], scores[chosen], noise[chosen]
        distances = np.zeros((self._dimensions, len(points), len(points)))
        for column, owner in enumerate(self._owners):
            distances[owner] += (points[:, None, column] - points[None, :, column]) ** 2
        start = self._priors[:, 0]
        bounds = [(mean - 4 * spread, mean + 4 * spread) for mean, spread in self._priors]
        found = minimize(
            self._loss, start, (distances, scores, noise), "L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": 40}
        )
        fitted: np.ndarray = found.x
        return fitted

    def _loss(
        self, parameters: np.ndarray, distances: np.ndarray, scores: np.ndarray, noise: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Negative log posterior density of the parameters, and its gradient."""
        count = len(scores)
        scaled = distances * np.exp(-2 * parameters[: self._dimensions])[:, None, None]
        root = np.sqrt(5 * scaled.sum(0))
        decay = np.exp(-root)
        signal, common = math.exp(parameters[-1]), math.exp(parameters[-2])
        kernel = signal * (1 + root + root**2 / 3) * decay
        covariance = kernel.copy()
        covariance[np.diag_indices(count)] += common + JITTER + noise
        try:
            factor = cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(parameters)
        inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
        weights = inverse @ scores
        off = (parameters - self._priors[:, 0]) / self._priors[:, 1]
        loss = 0.5 * scores @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        outer = 0.5 * (inverse - np.outer(weights, weights))
        gradient = np.empty_like(parameters)
        gradient[: self._dimensions] = np.tensordot(scaled, outer * (5 / 3) * (1 + root) * decay * signal, 2)
        gradient[-2] = np.trace(outer) * common
        gradient[-1] = (outer * kernel).sum()
        return float(loss), gradient + off / self._priors[:, 1]


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of E[max(score - best, 0)] for normal scores: (m,), (m,) -> (m,).

    With u = (mean - best) / deviation it is log(deviation · (φ(u) + u·Φ(u))), computed so that it has an order even
    where the value itself is 0 in floating point (Ament et al. 2023, section 4.1).
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
