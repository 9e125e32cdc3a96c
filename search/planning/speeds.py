"""Estimates the seconds of any configuration from a few that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.planning.models import Models
from trainables.base.config import TrialConfig


@dataclass(frozen=True)
class Measured:
    """Measurements of one configuration, with as many trials at a time as the search has."""

    work: float  # operations for each pair, by `Models.work_of_pair`
    train_seconds: float  # of an epoch
    valid_seconds: float  # of the validation after it
    test_seconds: float  # of the test split, decoded as in the finals
    memory: int  # peak bytes of the process
    gpu_memory: int  # peak bytes on the GPU; 0 without one
    steps: int  # the number of timed steps
    error: float  # relative standard error of the seconds of a step


@dataclass(frozen=True)
class Seconds:
    """The seconds that one configuration takes."""

    train: float  # an epoch
    valid: float
    test: float


class Speeds:
    """Estimates the seconds of any configuration.

    Between two measured ones they follow a power of the operations; beyond them they are proportional to the
    operations.
    """

    def __init__(self, measured: Sequence[Measured], models: Models):
        self._models = models
        self.measured = sorted(measured, key=lambda each: each.work)

    @classmethod
    def by_work(cls, models: Models) -> "Speeds":
        """For a search without measurements: seconds whose ratios are right."""
        return cls([Measured(1.0, 1.0, 0.0, 0.0, 0, 0, 0, 0.0)], models)

    def of(self, config: TrialConfig) -> Seconds:
        """The seconds of an epoch, of its validation, and of the test split."""
        work = self._models.work_of_pair(config)
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
