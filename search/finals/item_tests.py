"""Paired tests on the items of a test set; for the sentences of a translation with the numbers of sacreBLEU's command.

Paired bootstrap: Koehn 2004, "Statistical significance tests for machine translation evaluation". Approximate
randomisation: Riezler and Maxwell 2005, "On some pitfalls in automatic evaluation and significance testing for MT",
who find that it claims a difference that is none less often. Both are about two sets of translations as they are:
what another training would have given they can't know.
"""

import numpy as np

RESAMPLES = 10_000
SHUFFLES = 10_000  # as `sacrebleu --paired-ar`
SEED = 12345  # as sacreBLEU's
ROWS = 320  # at a time; a multiple of 32, as NumPy draws 32 coins from a word
ROUNDING = 1e-9  # differences of a score below this are none


def resampled_sums(statistics: np.ndarray, samples: int = RESAMPLES) -> np.ndarray:
    """Summed statistics of samples of the items with replacement: (items, ...) -> (samples, ...)."""
    rng, items = np.random.default_rng(SEED), len(statistics)
    flat = statistics.reshape(items, -1)
    parts = []
    for start in range(0, samples, ROWS):
        rows = min(ROWS, samples - start)
        picked = rng.choice(items, size=(rows, items)) + items * np.arange(rows)[:, None]
        times = np.bincount(picked.ravel(), minlength=rows * items).reshape(rows, items)
        parts.append(times.astype(np.float64) @ flat)
    return np.concatenate(parts).reshape(samples, *statistics.shape[1:])


def shuffled_sums(statistics: np.ndarray) -> np.ndarray:
    """Summed statistics of the items that a coin picks: (items, ...) -> (SHUFFLES, ...)."""
    rng, items = np.random.default_rng(SEED), len(statistics)
    flat = statistics.reshape(items, -1)
    parts = [
        rng.integers(2, size=(min(ROWS, SHUFFLES - start), items), dtype=bool).astype(np.float64) @ flat
        for start in range(0, SHUFFLES, ROWS)
    ]
    return np.concatenate(parts).reshape(SHUFFLES, *statistics.shape[1:])


def bootstrap_p(first: np.ndarray, second: np.ndarray, difference: float) -> float:
    """The scores of two systems on the same samples, (RESAMPLES,) each, and the difference of their scores.

    How often a sample's absolute difference lies above the mean of these by more than the difference itself.
    """
    distances = np.abs(first - second)
    return _p_value(distances - distances.mean() > abs(difference) + ROUNDING, distances)


def randomisation_p(first: np.ndarray, second: np.ndarray, difference: float) -> float:
    """The scores of two pseudo-systems between which items were shuffled, (SHUFFLES,) each."""
    distances = np.abs(first - second)
    return _p_value(distances > abs(difference) + ROUNDING, distances)


def _p_value(beyond: np.ndarray, distances: np.ndarray) -> float:
    """One more in both counts, so that chance alone gives p <= x in no more than x of all cases.

    Systems that never differ have p = 1, where sacreBLEU says the smallest p there is.
    """
    if distances.max() <= ROUNDING:
        return 1.0
    return float((beyond.sum() + 1) / (len(beyond) + 1))
