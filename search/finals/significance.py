"""How sure a system's score and a difference are, when both the test items and the seeds might have been others.

What is estimated is the mean score of a configuration over trainings with other seeds, on a test set of such items;
in translation, the BLEU on such sentences. A mean of n seeds on N items misses it by the luck of both. Clark et al.
2011 ("Better hypothesis testing for statistical machine translation: controlling for optimizer instability") show that
the first is as large as the differences that papers report. docs/evidence.md has the method in full.
"""

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from search.finals.item_tests import bootstrap_p, randomisation_p, resampled_sums, shuffled_sums
from search.finals.stages import TestMetric

LEVEL = 0.95


@dataclass(frozen=True)
class System:
    """The score of each of a configuration's models, on the test set and on samples of its items."""

    observed: np.ndarray  # (seeds,)
    resampled: np.ndarray  # (samples, seeds)

    @property
    def mean(self) -> float:
        """The mean BLEU over its seeds."""
        return float(self.observed.mean())


@dataclass(frozen=True)
class SeedNoise:
    """What the seed does to the score, taken as equally large for all systems of a ranking.

    variance: of a model's score on this test set among seeds. interaction: the part of it that comes of these
    items, as seeds differ in which items they do well. degrees: of freedom of the variance; with 0, as with
    one seed each, the seed's luck is unknown and what is said holds for these very models.
    """

    variance: float
    interaction: float
    degrees: int


@dataclass(frozen=True)
class Comparison:
    """Two systems, by their place in the list; the p-values are two-sided."""

    a: int
    b: int
    difference: float  # score of a minus score of b
    ci: tuple[float, float]  # of the difference, over seeds and items
    p_bootstrap: float  # these models, other items
    p_randomisation: float  # these models, these items
    p_nested: float  # other seeds, other items: agrees with ci
    p_holm: float  # the larger of the last two, corrected for all comparisons


@dataclass(frozen=True)
class Evidence:
    """A comparison of systems: an interval for each, all pairs, and who can be told apart."""

    intervals: list[tuple[float, float]]
    comparisons: list[Comparison]
    groups: list[int]  # from 1
    noise: SeedNoise


def weigh(systems: list[list[np.ndarray]], metric: TestMetric) -> Evidence:
    """systems[i][j]: the item statistics of system i's j-th seed, (items, k); the best system first."""
    score = metric.of_sums
    statistics = np.stack([seed for seeds in systems for seed in seeds], axis=1)  # (items, models, k)
    ends = np.cumsum([len(seeds) for seeds in systems])[:-1]
    sums = np.split(resampled_sums(statistics), ends, axis=1)
    scored = [
        System(score(np.sum(seeds, axis=1)), score(resampled)) for seeds, resampled in zip(systems, sums, strict=True)
    ]
    # The tests on items see a system as the concatenation of what its models wrote.
    joined = np.stack([np.mean(seeds, axis=0) for seeds in systems], axis=1)  # (items, systems, k)
    totals, shuffled = joined.sum(axis=0), shuffled_sums(joined)
    scores = score(totals)
    resampled = np.stack([score(part.mean(axis=1)) for part in sums], axis=1)
    noise = seed_noise(scored)
    raw = []
    for a, b in combinations(range(len(systems)), 2):
        swapped = shuffled[:, a] + totals[b] - shuffled[:, b]
        gap = float(scores[a] - scores[b])
        by_shuffling = randomisation_p(score(swapped), score(totals[a] + totals[b] - swapped), gap)
        by_resampling = bootstrap_p(resampled[:, a], resampled[:, b], gap)
        ci, nested = compare(scored[a], scored[b], noise)
        raw.append(Comparison(a, b, scored[a].mean - scored[b].mean, ci, by_resampling, by_shuffling, nested, 1.0))
    corrected = holm([max(pair.p_nested, pair.p_randomisation) for pair in raw])
    pairs = [replace(pair, p_holm=p) for pair, p in zip(raw, corrected, strict=True)]
    apart = {(pair.a, pair.b): pair.p_holm < 1 - LEVEL for pair in pairs}
    return Evidence(
        [interval(system, noise, metric.bounds) for system in scored], pairs, groups(len(systems), apart), noise
    )


def seed_noise(systems: list[System]) -> SeedNoise:
    """Pooled over the systems that have several seeds."""
    degrees = sum(len(system.observed) - 1 for system in systems)
    if not degrees:
        return SeedNoise(0.0, 0.0, 0)
    several = [system for system in systems if len(system.observed) > 1]
    squares = sum(float(np.var(system.observed)) * len(system.observed) for system in several)
    # A sample of the items adds the interaction once more to the differences between seeds.
    resampled = sum(float(np.var(s.resampled, axis=1).mean()) * len(s.observed) for s in several)
    return SeedNoise(squares / degrees, max(0.0, resampled - squares) / degrees, degrees)


def interval(system: System, noise: SeedNoise, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval of a system's score, which lies between bounds, at LEVEL."""
    low, high = _Error(system.resampled.mean(axis=1), 1 / len(system.observed), noise).quantiles()
    return max(bounds[0], system.mean + low), min(bounds[1], system.mean + high)


def compare(a: System, b: System, noise: SeedNoise) -> tuple[tuple[float, float], float]:
    """The interval of the difference of a and b, and the p-value of there being none; the items are paired."""
    difference, share = a.mean - b.mean, 1 / len(a.observed) + 1 / len(b.observed)
    error = _Error(a.resampled.mean(axis=1) - b.resampled.mean(axis=1), share, noise)
    low, high = error.quantiles()
    return (difference + low, difference + high), error.beyond(difference)


class _Error:
    """The distribution of an estimate's error: what samples of the items say, plus Student's t for the seeds.

    The t with the observed variance of seeds is right for few seeds, where a resampling of seeds is not: n of them
    resampled have (n - 1) / n of the variance, and no heavier tails. The seeds' part has the interaction with the
    items in it, so that this is taken out of the items' part.
    """

    def __init__(self, resampled: np.ndarray, share: float, noise: SeedNoise):
        """resampled: the estimate on samples of the items. share: sum of 1 / seeds over the systems in it."""
        deviations = resampled - resampled.mean()
        variance = float(np.var(deviations))
        left = max(0.0, 1 - noise.interaction * share / variance) if variance else 0.0
        self.items = deviations * math.sqrt(left)
        self.seeds, self.degrees = math.sqrt(noise.variance * share), noise.degrees

    def quantiles(self) -> tuple[float, float]:
        tail = (1 - LEVEL) / 2
        if not self.seeds:
            low, high = np.quantile(self.items, [tail, 1 - tail])
            return float(low), float(high)
        reach = self.seeds * stdtrit(self.degrees, 1 - tail / 2) + float(np.abs(self.items).max())
        return tuple(brentq(lambda x, p=p: self._below(x) - p, -reach, reach, xtol=1e-6) for p in (tail, 1 - tail))

    def beyond(self, distance: float) -> float:
        """The probability of an error as large as the distance, to either side."""
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
    """Corrected so that one false claim among all has the probability of one (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def groups(systems: int, apart: dict[tuple[int, int], bool]) -> list[int]:
    """The group, from 1, of each system, best first: one that is told apart from its group's best opens a new one."""
    numbers, leader = [1], 0
    for system in range(1, systems):
        if apart[leader, system]:
            leader = system
        numbers.append(numbers[-1] + (leader == system))
    return numbers
