"""Paired tests on the items of a test set. For sentences of a translation they give the numbers of sacreBLEU's command.

Paired bootstrap: Koehn 2004, "Statistical significance tests for machine translation evaluation". Approximate
randomisation: Riezler and Maxwell 2005, "On some pitfalls in automatic evaluation and significance testing for MT",
who find that it has fewer false positives. Both compare two given sets of translations; they say nothing about other
trainings of the same configurations.
"""

import numpy as np

RESAMPLES = 10_000
SHUFFLES = 10_000  # as `sacrebleu --paired-ar`
SEED = 12345  # as sacreBLEU's
ROWS = 320  # at a time; a multiple of 32, as NumPy draws 32 random bits at once
ROUNDING = 1e-9  # smaller differences of scores count as 0


def resampled_sums(statistics: np.ndarray, samples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """The summed statistics of bootstrap samples of the items: (items, ...) -> (samples, ...)."""
    rng, items = np.random.default_rng(seed), len(statistics)
    flat = statistics.reshape(items, -1)
    parts = []
    for start in range(0, samples, ROWS):
        rows = min(ROWS, samples - start)
        picked = rng.choice(items, size=(rows, items)) + items * np.arange(rows)[:, None]
        times = np.bincount(picked.ravel(), minlength=rows * items).reshape(rows, items)
        parts.append(times.astype(np.float64) @ flat)
    return np.concatenate(parts).reshape(samples, *statistics.shape[1:])


def shuffled_sums(statistics: np.ndarray, seed: int = SEED) -> np.ndarray:
    """The summed statistics of random halves of the items: (items, ...) -> (SHUFFLES, ...)."""
    rng, items = np.random.default_rng(seed), len(statistics)
    flat = statistics.reshape(items, -1)
    parts = [
        rng.integers(2, size=(min(ROWS, SHUFFLES - start), items), dtype=bool).astype(np.float64) @ flat
        for start in range(0, SHUFFLES, ROWS)
    ]
    return np.concatenate(parts).reshape(SHUFFLES, *statistics.shape[1:])


def bootstrap_p(first: np.ndarray, second: np.ndarray, difference: float) -> float:
    """The p-value of the paired bootstrap.

    It is the share of samples whose absolute difference exceeds the mean absolute difference by more than `difference`.
    first, second: the scores of two systems on the same samples, (RESAMPLES,) each. difference: of their scores.
    """
    distances = np.abs(first - second)
    return _p_value(distances - distances.mean() > abs(difference) + ROUNDING, distances)


def randomisation_p(first: np.ndarray, second: np.ndarray, difference: float) -> float:
    """The p-value of approximate randomisation; first, second: scores after items were swapped, (SHUFFLES,) each."""
    distances = np.abs(first - second)
    return _p_value(distances > abs(difference) + ROUNDING, distances)


def _p_value(beyond: np.ndarray, distances: np.ndarray) -> float:
    """The p-value, with 1 added to both counts, so that p <= x has a probability of at most x by chance.

    Systems that never differ have p = 1; sacreBLEU gives them the smallest possible p.
    """
    if distances.max() <= ROUNDING:
        return 1.0
    return float((beyond.sum() + 1) / (len(beyond) + 1))
