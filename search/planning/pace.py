"""How many seconds a report of any trial takes, from the reports that were seen."""

import math
from collections.abc import Hashable
from dataclasses import dataclass

SLOPE, SLOPE_SPREAD = 0.8, 0.3  # seconds grow as such a power of the work, before anything is seen; its standard error
TRIAL_SPREAD = 0.2  # of the logarithm of seconds between trials of the same work, as a standard deviation
FORGETTING = 24  # reports after which one counts half: other work comes and goes on the machine
RECENT = 0.4  # of a trial's own seconds, the share that its last report has


@dataclass
class _Seen:
    work: float  # logarithm
    seconds: float  # logarithm, the last reports most
    reports: int
    last: int  # the number of its last report among all


class Pace:
    """Seconds of a report, as a power of its work that is fitted, corrected by what the trial itself took.

    The power is drawn towards the usual one, and what a trial took towards what its work says, so that few reports
    mislead little.
    """

    def __init__(self) -> None:
        self._trials: dict[Hashable, _Seen] = {}
        self._reports = 0
        self._line: tuple[float, float] | None = None  # seconds of work 1, as a logarithm, and the power

    def see(self, trial: Hashable, work: float, seconds: float) -> None:
        """A report of a trial; works are known in their proportions alone."""
        took = math.log(max(seconds, 1e-3))
        self._reports += 1
        seen = self._trials.setdefault(trial, _Seen(math.log(work), took, 0, 0))
        seen.seconds += max(RECENT, 1 / (seen.reports + 1)) * (took - seen.seconds)
        seen.reports, seen.last, self._line = seen.reports + 1, self._reports, None

    @property
    def known(self) -> bool:
        """Whether anything was seen."""
        return self._reports > 0

    def seconds(self, work: float, trial: Hashable = None) -> float:
        """The seconds of the next report of a trial, or of a future trial. A report must have been seen."""
        start, power = self._line = self._line or self._fit()
        expected = start + power * math.log(work)
        if seen := self._trials.get(trial):
            expected += (seen.seconds - expected) * seen.reports / (seen.reports + 1)
        return math.exp(expected)

    def _fit(self) -> tuple[float, float]:
        """Least squares over trials, with a prior of the power."""
        trials = self._trials.values()
        weights = [0.5 ** ((self._reports - seen.last) / FORGETTING) for seen in trials]
        total = sum(weights)
        work = sum(weight * seen.work for weight, seen in zip(weights, trials, strict=True)) / total
        took = sum(weight * seen.seconds for weight, seen in zip(weights, trials, strict=True)) / total
        prior = (TRIAL_SPREAD / SLOPE_SPREAD) ** 2
        spread = prior + sum(w * (seen.work - work) ** 2 for w, seen in zip(weights, trials, strict=True))
        common = prior * SLOPE + sum(
            w * (seen.work - work) * (seen.seconds - took) for w, seen in zip(weights, trials, strict=True)
        )
        power = common / spread
        return took - power * work, power
