"""Confidence intervals of scores and differences, with both test items and seeds as sources of chance.

The estimated quantity is the mean score of a configuration over trainings with other seeds, on other items of the same
kind; in translation, the BLEU on such sentences. The mean of n seeds on N items differs from it by chance in both.
Clark et al. 2011 ("Better hypothesis testing for statistical machine translation: controlling for optimizer
instability") show that the part of the seeds is as large as the differences that papers report. docs/evidence.md has
the whole method.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from search.finals.comparison import Comparison
from search.finals.item_tests import SEED, bootstrap_p, randomisation_p, resampled_sums, shuffled_sums
from search.finals.sequential import nominal_level, repeated_p
from search.finals.stages import Systems, TestMetric

LEVEL = 0.95


@dataclass(frozen=True)
class System:
    """The scores of a configuration's models, on the test set and on samples of its items."""

    observed: np.ndarray  # (seeds,)
    resampled: np.ndarray  # (samples, seeds)

    @property
    def mean(self) -> float:
        """The mean score over its seeds."""
        return float(self.observed.mean())


@dataclass(frozen=True)
class SeedNoise:
    """The variance of scores among seeds, taken as equal for all systems of a ranking.

    variance: of a model's score on this test set. interaction: the part of it that depends on the items, as seeds
    differ in which items they do well. degrees: degrees of freedom of the variance. With 0, as with one seed each, the
    variance is unknown, and results hold for these models only.
    """

    variance: float
    interaction: float
    degrees: int


@dataclass(frozen=True)
class Looks:
    """How often systems were compared while seeds were added, for which p-values and intervals are corrected.

    seeds: for each comparison, the present one last, the number of models of each system. most: that a system may have.
    over: whether no further one follows.
    """

    seeds: Sequence[Sequence[int]]
    most: int
    over: bool = False

    def shares(self, a: int, b: int) -> list[float]:
        """The sum of 1 / seeds of two systems at each comparison of both, then the least that it may become."""
        return [*(1 / seeds[a] + 1 / seeds[b] for seeds in self.seeds if seeds[a] and seeds[b]), 2 / self.most]


class Difference(NamedTuple):
    """What is known of a difference between two systems."""

    ci: tuple[float, float]
    p: float
    by_items: float  # the variance that more seeds leave


@dataclass(frozen=True)
class Evidence:
    """A comparison of systems: an interval for each, all pairs, and groups without significant differences."""

    intervals: list[tuple[float, float]]
    comparisons: list[Comparison]
    groups: list[int]  # from 1
    noise: SeedNoise
    by_items: Mapping[tuple[int, int], float]  # the variance of each pair's difference that more seeds leave


def weigh(systems: Systems, metric: TestMetric, looks: Looks | None = None) -> Evidence:
    """Compare systems, the best one first. systems[i][j]: item statistics of system i's j-th seed.

    looks: None if the number of seeds was fixed beforehand.
    """
    score = metric.of_sums
    tests = [_sums_of_test(systems, test) for test in range(len(systems[0][0]))]
    observed, resampled, totals, shuffled = (np.concatenate(parts, axis=-1) for parts in zip(*tests, strict=True))
    ends = np.cumsum([len(seeds) for seeds in systems])[:-1]
    sums = np.split(resampled, ends, axis=1)
    scored = [
        System(score(seeds), score(samples)) for seeds, samples in zip(np.split(observed, ends), sums, strict=True)
    ]
    scores = score(totals)
    resampled = np.stack([score(part.mean(axis=1)) for part in sums], axis=1)
    noise = seed_noise(scored)
    raw, by_items = [], {}
    for a, b in combinations(range(len(systems)), 2):
        swapped = shuffled[:, a] + totals[b] - shuffled[:, b]
        gap = float(scores[a] - scores[b])
        by_shuffling = randomisation_p(score(swapped), score(totals[a] + totals[b] - swapped), gap)
        by_resampling = bootstrap_p(resampled[:, a], resampled[:, b], gap)
        shares = looks.shares(a, b) if looks else None
        ci, nested, by_items[a, b] = compare(scored[a], scored[b], noise, shares, looks is not None and looks.over)
        raw.append(Comparison(a, b, scored[a].mean - scored[b].mean, ci, by_resampling, by_shuffling, nested, 1.0))
    corrected = holm([max(pair.p_nested, pair.p_randomisation) for pair in raw])
    pairs = [replace(pair, p_holm=p) for pair, p in zip(raw, corrected, strict=True)]
    apart = {(pair.a, pair.b): pair.p_holm < 1 - LEVEL for pair in pairs}
    intervals = [interval(system, noise, metric.bounds) for system in scored]
    return Evidence(intervals, pairs, groups(len(systems), apart), noise, by_items)


def _sums_of_test(systems: Systems, test: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Summed statistics of the items of one test, which is resampled by itself.

    Returns:
        Of the models, on all items and on samples of them: (models, k), (samples, models, k). Of the systems, on all
        items and on random halves: (systems, k), (shuffles, systems, k). The tests on items take a system as the
        concatenated outputs of its models.
    """
    statistics = np.stack([seed[test] for seeds in systems for seed in seeds], axis=1)  # (items, models, k)
    joined = np.stack([np.mean([seed[test] for seed in seeds], axis=0) for seeds in systems], axis=1)
    observed = [np.sum(seed[test], axis=0) for seeds in systems for seed in seeds]
    resampled, halves = resampled_sums(statistics, seed=SEED + test), shuffled_sums(joined, seed=SEED + test)
    return np.stack(observed), resampled, joined.sum(axis=0), halves


def seed_noise(systems: list[System]) -> SeedNoise:
    """The variance among seeds, pooled over the systems that have several."""
    degrees = sum(len(system.observed) - 1 for system in systems)
    if not degrees:
        return SeedNoise(0.0, 0.0, 0)
    several = [system for system in systems if len(system.observed) > 1]
    squares = sum(float(np.var(system.observed)) * len(system.observed) for system in several)
    # Differences between seeds on a sample of the items contain the interaction twice.
    resampled = sum(float(np.var(s.resampled, axis=1).mean()) * len(s.observed) for s in several)
    return SeedNoise(squares / degrees, max(0.0, resampled - squares) / degrees, degrees)


def interval(system: System, noise: SeedNoise, bounds: tuple[float, float]) -> tuple[float, float]:
    """The confidence interval of a system's score at LEVEL, clipped to bounds."""
    low, high = _Error(system.resampled.mean(axis=1), 1 / len(system.observed), noise).quantiles()
    return max(bounds[0], system.mean + low), min(bounds[1], system.mean + high)


def compare(
    a: System, b: System, noise: SeedNoise, shares: Sequence[float] | None = None, over: bool = False
) -> Difference:
    """Compare a and b on paired items. shares, over: see `Looks`."""
    difference, share = a.mean - b.mean, 1 / len(a.observed) + 1 / len(b.observed)
    error = _Error(a.resampled.mean(axis=1) - b.resampled.mean(axis=1), share, noise)
    level, p = 1 - LEVEL, error.beyond(difference)
    if shares is not None and error.variance(share):
        *variances, least = map(error.variance, shares)
        information = [least / variance for variance in variances]
        level, p = nominal_level(information, level, over), repeated_p(p, information, over)
    low, high = error.quantiles(level)
    return Difference((difference + low, difference + high), p, error.variance(0))


class _Error:
    """The distribution of an estimate's error: the bootstrap over items, plus Student's t for the seeds.

    The t with the observed variance of seeds is right for few seeds. A bootstrap over n seeds is not: it has
    (n - 1) / n of the variance, and no heavier tails. The part of the seeds contains their interaction with the items,
    so the interaction is removed from the part of the items.
    """

    def __init__(self, resampled: np.ndarray, share: float, noise: SeedNoise):
        """resampled: the estimate on samples of the items. share: the sum of 1 / seeds over its systems."""
        deviations = resampled - resampled.mean()
        variance = float(np.var(deviations))
        left = max(0.0, 1 - noise.interaction * share / variance) if variance else 0.0
        self.items = deviations * math.sqrt(left)
        self.noise, self.seeds, self.degrees = noise, math.sqrt(noise.variance * share), noise.degrees

    def variance(self, share: float) -> float:
        """The variance of the error if the sum of 1 / seeds were this."""
        return float(np.var(self.items)) + self.noise.variance * share

    def quantiles(self, level: float = 1 - LEVEL) -> tuple[float, float]:
        tail = level / 2
        if not self.seeds:
            low, high = np.quantile(self.items, [tail, 1 - tail])
            return float(low), float(high)
        reach = self.seeds * stdtrit(self.degrees, 1 - tail / 2) + float(np.abs(self.items).max())
        return tuple(brentq(lambda x, p=p: self._below(x) - p, -reach, reach, xtol=1e-6) for p in (tail, 1 - tail))

    def beyond(self, distance: float) -> float:
        """The probability of an error of at least this size, to either side."""
        distance = abs(distance)
        if self.seeds:
            share = self._below(-distance) + 1 - self._below(distance)
        else:
            share = float((np.abs(self.items) >= distance).mean())
        samples = len(self.items)
        return min(1.0, (share * samples + 1) / (samples + 1))

    def _below(self, x: float) -> float:
        return float(stdtr(self.degrees, (x - self.items) / self.seeds).mean())


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for multiple comparisons (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def groups(systems: int, apart: dict[tuple[int, int], bool]) -> list[int]:
    """The group, from 1, of each system, the best first. One that differs from its group's best opens a new group."""
    numbers, leader = [1], 0
    for system in range(1, systems):
        if apart[leader, system]:
            leader = system
        numbers.append(numbers[-1] + (leader == system))
    return numbers
