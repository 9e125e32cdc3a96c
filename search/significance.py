"""How sure a BLEU score and a difference are: bootstrap over sentences, and over seeds where there are several.

Koehn 2004 ("Statistical significance tests for machine translation evaluation") resamples the sentences of
the test set; where a configuration was trained with several seeds, each replicate also resamples those.
"""

import math

import numpy as np
from sacrebleu.metrics.bleu import BLEU

REPLICATES = 1000
LEVEL = 0.95
MAX_ORDER = 4


def sentence_statistics(translations: list[str], references: list[str]) -> np.ndarray:
    """What corpus BLEU sums up: (sentences, 2 + 4 + 4) = lengths of translation and reference, matches, totals."""
    bleu = BLEU(effective_order=True)
    rows = []
    for translation, reference in zip(translations, references, strict=True):
        result = bleu.sentence_score(translation, [reference])
        rows.append([result.sys_len, result.ref_len, *result.counts, *result.totals])
    return np.array(rows, dtype=np.float64)


def bleu_of_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus BLEU, 0..100, of summed statistics: (..., 10) -> (...). Smoothing as sacreBLEU's default ("exp")."""
    translation, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + MAX_ORDER], sums[..., 2 + MAX_ORDER :]
    zeros = np.cumsum((matches == 0) & (totals > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches / totals, 1.0 / (2.0**zeros * totals))
        log_mean = np.where(totals.min(axis=-1) > 0, np.log(precision).mean(axis=-1), -np.inf)
        brevity = np.where(translation < reference, 1.0 - reference / translation, 0.0)
        score = 100.0 * np.exp(log_mean + brevity)
    return np.where((matches.sum(axis=-1) > 0) & (translation > 0), score, 0.0)


def bootstrap(systems: list[list[np.ndarray]], seed: int = 12345) -> np.ndarray:
    """Replicates of each system's mean BLEU over its seeds: (REPLICATES, systems).

    systems[i][j]: the statistics of system i's j-th seed, (sentences, 10). A replicate draws one sample of
    sentences for all systems, so differences are paired, and for each system a sample of its seeds.
    """
    rng = np.random.default_rng(seed)
    sentences = len(systems[0][0])
    draws = rng.multinomial(sentences, np.full(sentences, 1 / sentences), size=REPLICATES).astype(np.float64)
    columns = []
    for seeds in systems:
        scores = np.stack([bleu_of_sums(draws @ statistics) for statistics in seeds], axis=1)  # (R, seeds)
        picked = rng.integers(len(seeds), size=scores.shape)
        columns.append(np.take_along_axis(scores, picked, axis=1).mean(axis=1))
    return np.stack(columns, axis=1)


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """The percentile interval of a system's replicates (R,)."""
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return float(low), float(high)


def groups(replicates: np.ndarray) -> list[int]:
    """The group, from 1, of each system, best first: (R, systems) -> systems numbers.

    A system opens a new group when the best one of the current group beats it in at least 97.5% of the
    replicates (two-sided 5%). Not corrected for the number of comparisons.
    """
    numbers, leader = [1], 0
    needed = math.ceil((1 + LEVEL) / 2 * len(replicates))
    for system in range(1, replicates.shape[1]):
        if (replicates[:, leader] > replicates[:, system]).sum() >= needed:
            leader = system
            numbers.append(numbers[-1] + 1)
        else:
            numbers.append(numbers[-1])
    return numbers
