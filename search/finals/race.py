"""Which finalist gets the next seed, where the finals are a race, and when the race is over.

The race asks of every finalist whether it differs from the leader, or is equivalent: whether the difference is surely
below `finals.margin`. A further seed goes where it is most likely to bring an answer for what it costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr, stdtrit

from search.finals.comparison import Comparison
from search.finals.sequential import nominal_level
from search.finals.significance import LEVEL, Evidence, Looks

FUTILE = 0.1  # a race is over if all seeds that are left bring an answer with a smaller probability


@dataclass(frozen=True)
class Race:
    """The state of a race, after a comparison of all finalists.

    evidence: of the finalists, the best first. looks: all comparisons so far. costs: of a training of each, in any
    unit. margin: None if finalists are only to be told apart.
    """

    evidence: Evidence
    looks: Looks
    costs: Sequence[float]
    margin: float | None

    @property
    def unanswered(self) -> list[Comparison]:
        """The comparisons with the leader that have no answer."""
        return [
            pair
            for pair in self.evidence.comparisons
            if pair.a == 0 and pair.p_holm >= 1 - LEVEL and not pair.equivalent(self.margin)
        ]

    @property
    def promise(self) -> float:
        """The probability that the seeds that are left bring an answer, of the pair where it is highest."""
        most = (self.looks.most, self.looks.most)
        return max((self.chance(pair, most) for pair in self.unanswered), default=0.0)

    def next(self, given: Sequence[int]) -> int | None:
        """The place in the ranking of the finalist that gets the next seed.

        It is one of the pair that is most likely to have an answer for the cost of some number of further seeds.
        None if nothing is unanswered, or no finalist of such a pair may have more.

        given: the number of seeds of each finalist, with those that are planned.
        """
        best, highest = None, -1.0
        for pair in self.unanswered:
            left = {
                place: self.looks.most - given[place] for place in (pair.a, pair.b) if given[place] < self.looks.most
            }
            for more in range(1, max(left.values(), default=0) + 1):
                added = {place: min(more, most) for place, most in left.items()}
                chance = self.chance(pair, [given[place] + added.get(place, 0) for place in (pair.a, pair.b)])
                worth = chance / sum(count * self.costs[place] for place, count in added.items())
                if worth > highest:
                    best, highest = max(added, key=lambda place: self._gain(given[place]) / self.costs[place]), worth
        return best

    def chance(self, pair: Comparison, seeds: Sequence[int]) -> float:
        """The probability that a pair has an answer once its two finalists have so many seeds.

        The true difference has a flat prior, so that what is known of it is the error of the present estimate.
        """
        items, noise = self.evidence.by_items[pair.a, pair.b], self.evidence.noise
        *past, least = (items + noise.variance * share for share in self.looks.shares(pair.a, pair.b))
        now, then = past[-1], items + noise.variance * sum(1 / n for n in seeds)
        if not now:
            return 0.0
        information = [least / variance for variance in (*past, then)]
        open_pairs = sum(other.p_holm >= 1 - LEVEL for other in self.evidence.comparisons)
        grown = noise.degrees + sum(seeds) - self.looks.seeds[-1][pair.a] - self.looks.seeds[-1][pair.b]

        def reach(level: float) -> float:
            tail = nominal_level(information, level) / 2
            return math.sqrt(items * stdtrit(math.inf, tail) ** 2 + (then - items) * stdtrit(grown, tail) ** 2)

        moves, gap = math.sqrt(max(now - then, 0.0)) or math.sqrt(now) * 1e-9, abs(pair.difference)
        bound = reach((1 - LEVEL) / open_pairs)
        chance = float(ndtr((gap - bound) / moves) + ndtr((-gap - bound) / moves))
        if self.margin is not None and (room := self.margin - reach(1 - LEVEL)) > 0:
            chance += float(ndtr((room - gap) / moves) - ndtr((-room - gap) / moves))
        return min(1.0, chance)

    @staticmethod
    def _gain(seeds: int) -> float:
        """How much a further seed lowers the variance of a mean, in units of the variance among seeds."""
        return 1 / seeds - 1 / (seeds + 1)
