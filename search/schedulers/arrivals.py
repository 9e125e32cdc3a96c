"""The trials that have reached each rung, ranked; updated as the study grows, so no decision looks at all trials."""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Hashable

from search.record.study import Study
from search.record.trial import StudyTrial
from trainables.base.outcomes import Outcome

Key = tuple[float, int]  # sorts the best trials first: minus the worth of a trial, and its number
Worth = Callable[[Study, StudyTrial, int], float]  # by which trials are ranked at a rung; higher is better
LATEST = 200  # so many finished trials show how well a rung predicts the final score


class Field:
    """The trials of one group that have reached one rung, or diverged on the way to it."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._waiting: list[Key] = []
        self._finished: list[int] = []
        self.best_final = -math.inf  # the highest final merit
        self.doubt = (0, False)  # kept by `trust.is_doubted`: after so many finished trials, whether the rung misleads

    def __len__(self) -> int:
        return len(self._keys)

    def ahead(self, worth: float, number: int = -1) -> int:
        """The number of trials that are worth more, or, given a number, are worth as much and have a lower number."""
        return bisect_left(self._keys, (-worth, number))

    def median(self, without: Key | None = None) -> float:
        """The median worth of the trials, without the one of this key if given."""
        skipped = len(self) if without is None else bisect_left(self._keys, without)
        count = len(self) - (without is not None)
        return -sum(self._keys[i + (i >= skipped)][0] for i in ((count - 1) // 2, count // 2)) / 2

    @property
    def num_finished(self) -> int:
        """How many trials were trained to the end."""
        return len(self._finished)

    def finished(self, study: Study) -> list[StudyTrial]:
        """The LATEST trials that were trained to the end."""
        return [study.trials[number] for number in self._finished[-LATEST:]]

    def first_waiting(
        self, study: Study, rungs: tuple[int, ...], rung: int, live: set[int], most: int = 1
    ) -> list[StudyTrial]:
        """The best trials that are parked at this rung and that no worker has, at most so many."""
        place, found = 0, list[StudyTrial]()
        while place < len(self._waiting) and len(found) < most:
            trial = study.trials[self._waiting[place][1]]
            if not _waits(trial, rungs, rung):
                del self._waiting[place]  # a trial that has continued never waits here again
                continue
            place += 1
            if trial.number not in live:
                found.append(trial)
        return found

    def all_waiting(self, study: Study, rungs: tuple[int, ...], rung: int, live: set[int]) -> list[StudyTrial]:
        """All trials that are parked at this rung and that no worker has, the best first."""
        trials = [study.trials[number] for _, number in self._waiting]
        self._waiting = [key for key, t in zip(self._waiting, trials, strict=True) if _waits(t, rungs, rung)]
        return [study.trials[number] for _, number in self._waiting if number not in live]

    def arrived(self, study: Study) -> list[StudyTrial]:
        """The trials that have reached the rung, without those that diverged on the way; the best first."""
        return [study.trials[number] for worth, number in self._keys if worth < math.inf]

    def arrive(self, key: Key, waiting: bool) -> None:
        """Add a trial that has reached the rung. waiting: whether it may be parked here."""
        insort(self._keys, key)
        if waiting:
            insort(self._waiting, key)

    def finish(self, number: int, final: float) -> None:
        """Note that one of the trials was trained to the end, with its final merit."""
        insort(self._finished, number)
        self.best_final = max(self.best_final, final)


def _waits(trial: StudyTrial, rungs: tuple[int, ...], rung: int) -> bool:
    return trial.progress == rung and trial.parked(rungs)


class Arrivals:
    """The fields of all rungs and groups of a scheduler."""

    def __init__(
        self,
        rungs_of: Callable[[StudyTrial], tuple[int, ...]],
        group_of: Callable[[StudyTrial], Hashable],
        worth: Worth = Study.merit,
    ):
        """rungs_of: the rungs at which a trial is ranked. group_of: the group that it is ranked in."""
        self._rungs_of, self._group_of, self._worth = rungs_of, group_of, worth
        self._study: Study | None = None

    def field(self, study: Study, trial: StudyTrial) -> Field:
        """The field of the trial's group at its present rung."""
        return self.fields(study, trial.progress)[self._group_of(trial)]

    def fields(self, study: Study, rung: int) -> dict[Hashable, Field]:
        """The fields of a rung, by group."""
        if study is not self._study:
            self._study, self._over = study, 0
            self._seen: defaultdict[int, int] = defaultdict(int)
            self._fields: defaultdict[int, defaultdict[Hashable, Field]] = defaultdict(lambda: defaultdict(Field))
        fields, reached = self._fields[rung], study.reached[rung]
        for trial in reached[self._seen[rung] :]:
            if rung in self._rungs_of(trial):
                key = (-self._worth(study, trial, rung), trial.number)
                fields[self._group_of(trial)].arrive(key, waiting=True)
        self._seen[rung] = len(reached)
        for trial in study.over[self._over :]:
            self._end(study, trial)
        self._over = len(study.over)
        return fields

    def _end(self, study: Study, trial: StudyTrial) -> None:
        rungs, group = self._rungs_of(trial), self._group_of(trial)
        if trial.outcome == Outcome.DIVERGED:
            next_rung = min((rung for rung in rungs if rung > trial.progress), default=None)
            if next_rung is not None:
                self._fields[next_rung][group].arrive((math.inf, trial.number), waiting=False)
        elif trial.outcome == Outcome.COMPLETED:
            for rung in rungs:
                if rung in trial.scores:
                    self._fields[rung][group].finish(trial.number, study.merit(trial, trial.progress))
