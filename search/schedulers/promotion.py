"""Successive halving by promotion: trials wait at the rungs until they are sure to belong to the best."""

import math
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from search.schedulers.base import Comparable, Decision, all_alike, arrived, finite, merit, parked
from search.study import Study, StudyTrial

GOLDEN = (math.sqrt(5) - 1) / 2
LEAST_CORRELATION = 0.3  # of scores at a rung with final ones, for the rung to be believed
ENOUGH_FINISHED = 8  # before it is doubted
SURE = 1.28  # standard deviations: nine times in ten


@dataclass(frozen=True)
class Promotion:
    """Asynchronous successive halving as published (ASHA; Li et al. 2020, algorithm 2).

    The best floor(n / reduction_factor) of the n trials that have come to a rung are promoted, the highest rung
    first, the best first; all others wait there. So the first to arrive waits until reduction_factor have come. Of
    equals the lower number is ahead. A trial that belongs to the best as it arrives goes on at once. All pass a rung
    that has proved to predict the final scores badly, see `misleads`.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2
    comparable: Comparable = all_alike

    def bracket(self, trial: StudyTrial) -> int:
        """How many of the lowest rungs the trial passes unranked."""
        return 0

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        if trial.epoch not in self.rungs[self.bracket(trial) :]:
            return "go"
        best = self._best(study, trial.epoch)[self._group(trial)]
        return "go" if trial.number in [other.number for other in best] else "park"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        for rung in reversed(self.rungs):
            waiting = [
                (place, trial.number)
                for best in self._best(study, rung).values()
                for place, trial in enumerate(best)
                if trial.epoch == rung and parked(trial, self.rungs) and trial.number not in live
            ]
            if waiting:
                return study.trials[min(waiting)[1]]
        return None

    def _group(self, trial: StudyTrial) -> Hashable:
        return self.bracket(trial), self.comparable(trial)

    def _best(self, study: Study, rung: int) -> dict[Hashable, list[StudyTrial]]:
        """Those who may pass the rung, the best first, by group."""
        groups: defaultdict[Hashable, list[StudyTrial]] = defaultdict(list)
        for trial in study.trials.values():
            own_rungs = self.rungs[self.bracket(trial) :]
            if rung in own_rungs and arrived(trial, rung, own_rungs):
                groups[self._group(trial)].append(trial)
        best = {}
        for group, field in groups.items():
            field.sort(key=lambda trial: (-merit(study, trial, rung), trial.number))
            top = field if misleads(study, field, rung) else field[: len(field) // self.reduction_factor]
            best[group] = [trial for trial in top if merit(study, trial, rung) > -math.inf]
        return best


def misleads(study: Study, field: list[StudyTrial], rung: int) -> bool:
    """Whether the scores at a rung say next to nothing of those at the end, by the trials that have ended.

    So it is when their rank correlation is below 0.3, nine times in ten (Fisher's z). Those who came to the end are
    alike, as they passed the rungs, which lowers their correlation: hence a bound far below what a good rung has.
    """
    ended = [t for t in field if t.outcome == "completed" and t.value is not None and rung in t.scores]
    if len(ended) < ENOUGH_FINISHED:
        return False
    at_rung, at_end = [t.scores[rung] for t in ended], [t.value for t in ended]
    varied = len(set(at_rung)) > 1 and len(set(at_end)) > 1
    correlation = float(spearmanr(at_rung, at_end).statistic) if varied else 0.0
    most = np.arctanh(min(correlation, 0.999)) + SURE / math.sqrt(len(ended) - 3)
    return bool(most < np.arctanh(LEAST_CORRELATION))


@dataclass(frozen=True)
class Hyperband(Promotion):
    """Asynchronous Hyperband (Li et al. 2018; asynchronous as in Li et al. 2020): promotion in several brackets.

    Bracket b starts to rank b rungs later, so that configurations which learn slowly have a chance; the last one
    ranks at none. A bracket with s rungs gets the share that Hyperband gives it, in proportion to
    reduction_factor^s / (s + 1). The bracket follows from the trial's number by a golden-ratio sequence, so that
    the shares hold in every stretch of trials. Trials are ranked inside their bracket alone.
    """

    def bracket(self, trial: StudyTrial) -> int:
        shares = [self.reduction_factor**s / (s + 1) for s in range(len(self.rungs), -1, -1)]
        position = trial.number * GOLDEN % 1 * sum(shares)
        for bracket, share in enumerate(shares):
            position -= share
            if position < 0:
                return bracket
        return len(self.rungs)
