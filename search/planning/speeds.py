"""How long an epoch of any configuration takes, from those that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.planning.size import work_of_pair
from trainables.base.config import TrialConfig


@dataclass(frozen=True)
class Measured:
    """What a probe found of one configuration, with as many trials at a time as the search has."""

    work: float  # operations a pair, as `work_of_pair` counts them
    train_seconds: float  # of an epoch
    valid_seconds: float  # of the validation after it
    test_seconds: float  # of the test split, decoded as in the finals
    memory: int  # bytes of the process at its peak
    gpu_memory: int  # bytes of the GPU at the peak; 0 without one
    steps: int  # that were timed
    error: float  # standard error of the seconds of a step, as a share of them


@dataclass(frozen=True)
class Seconds:
    """The seconds that one configuration takes."""

    train: float  # an epoch
    valid: float
    test: float


class Speeds:
    """Seconds of any configuration.

    Between two that were measured they are a power of the operations; beyond them, as much a share of the nearest as
    the configuration has of its operations.
    """

    def __init__(self, measured: Sequence[Measured]):
        self.measured = sorted(measured, key=lambda each: each.work)

    @classmethod
    def by_work(cls) -> "Speeds":
        """Before anything is measured: seconds that are right in their proportions alone."""
        return cls([Measured(1.0, 1.0, 0.0, 0.0, 0, 0, 0, 0.0)])

    def of(self, config: TrialConfig) -> Seconds:
        """Seconds of an epoch, its validation, and the test split."""
        work = work_of_pair(config)
        train, valid, test = (
            self._between(work, [getattr(each, name) for each in self.measured])
            for name in ("train_seconds", "valid_seconds", "test_seconds")
        )
        return Seconds(train, valid, test)

    def _between(self, work: float, seconds: Sequence[float]) -> float:
        if min(seconds) <= 0:
            return 0.0
        known = [each.work for each in self.measured]
        beyond = work / min(max(work, known[0]), known[-1])
        return float(np.exp(np.interp(np.log(work), np.log(known), np.log(seconds)))) * beyond
