"""What a ranking leaves open, in sentences: how equal finalists are, and what it would take to tell them apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from search.finals.comparison import Comparison
from search.finals.significance import LEVEL, Evidence
from search.finals.stages import TestMetric
from search.settings.wording import duration

POWER = 0.8  # the probability with which the forecast tells two finalists apart
MOST_SEEDS, MOST_ITEMS = 50, 1_000_000  # more of them are no advice
SHOWN = 3  # pairs


@dataclass(frozen=True)
class Trained:
    """A finalist in the ranking."""

    trial: int
    seeds: int
    device_seconds: float  # of one training


@dataclass(frozen=True)
class Settings:
    """The settings of a search that matter here. margin: `finals.margin`. price: of a GPU hour, in dollars."""

    margin: float | None
    price: float | None


def explain_open_pairs(
    finalists: Sequence[Trained], evidence: Evidence, by: TestMetric, items: int, settings: Settings
) -> list[str]:
    """A sentence for each pair of the best finalist and another one of its group, the closest in rank first.

    finalists: the best first. items: the number of those in the test data.
    """
    pairs = [pair for pair in evidence.comparisons if pair.a == 0 and evidence.groups[pair.b] == evidence.groups[0]]
    sentences = []
    for pair in pairs[:SHOWN]:
        first, second = finalists[pair.a], finalists[pair.b]
        bound = f"{_up(pair.bound):.1f} {by.short}"
        if pair.equivalent(settings.margin):
            sentences.append(
                f"Trials {first.trial} and {second.trial} are equivalent: they are equal to within {bound} (95%), and "
                f"finals.margin is {settings.margin:g}."
            )
        else:
            needs = _needs(pair, (first, second), evidence, settings, (items, by.items))
            sentences.append(f"Trials {first.trial} and {second.trial} are equal to within {bound} (95%){needs}.")
    return sentences


def _needs(
    pair: Comparison, both: tuple[Trained, Trained], evidence: Evidence, settings: Settings, items: tuple[int, str]
) -> str:
    """What would tell a pair apart if its difference is as it seems."""
    noise, gap, spread = evidence.noise, abs(pair.difference), evidence.by_items[pair.a, pair.b]
    if not noise.degrees:
        return " as they were trained; with one seed each, nothing is known of other trainings"
    for more in range(1, MOST_SEEDS + 1):
        seeds = max(each.seeds for each in both) + more
        degrees = noise.degrees + sum(seeds - each.seeds for each in both)
        if _reach(degrees) * math.sqrt(spread + noise.variance * 2 / seeds) <= gap:
            seconds = sum((seeds - each.seeds) * each.device_seconds for each in both)
            cost = duration(seconds)
            if settings.price is not None:
                cost += f", ${seconds / 3600 * settings.price:.2f}"
            return f"; to tell them apart would take about {more} more seeds each ({cost})"
    wanted = items[0] * spread * (_reach(math.inf) / gap) ** 2 if gap else math.inf
    if items[0] < wanted <= MOST_ITEMS:
        return f"; more seeds would not tell them apart, but a test of about {_round(wanted):,} {items[1]} might"
    return "; they are too close to be told apart at a reasonable cost"


def _reach(degrees: float) -> float:
    """The difference, in standard errors, that is significant with the probability POWER."""
    return float(-stdtrit(degrees, (1 - LEVEL) / 2) - stdtrit(math.inf, 1 - POWER))


def _up(bound: float) -> float:
    """Rounded up to one digit after the point, as a bound has to be."""
    return math.ceil(bound * 10 - 1e-9) / 10


def _round(number: float) -> int:
    """Two significant digits: 2937 -> 2900."""
    scale = 10 ** max(0, int(math.log10(number)) - 1)
    return round(number / scale) * scale
