"""What a search may spend, what it has spent, and whether it may continue; computed from study and journal."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from model.config import Config
from search.record.journal import Journal, Totals
from search.record.study import Study
from search.record.trial import StudyTrial
from trainables.base.report import Unit

UNITS = {"epochs": "epochs", "gpu_hours": "GPU hours", "dollars": "dollars", "wall_hours": "hours by the clock"}


class BudgetConfig(Config):
    """What the search and its finals may spend; the first limit that is reached ends the search."""

    epochs: int | None = Field(None, ge=1, description="epochs of training, over all trials and finals")
    gpu_hours: float | None = Field(
        None, gt=0, description="hours of trials on their devices; without a GPU, in their CPU slots"
    )
    dollars: float | None = Field(None, gt=0, description="gpu_hours times price_per_gpu_hour")
    price_per_gpu_hour: float | None = Field(None, gt=0, description="dollars for an hour of one GPU")
    wall_hours: float | None = Field(None, gt=0, description="hours by the clock, while a search is running")

    @model_validator(mode="after")
    def _dollars_have_a_price(self) -> Self:
        if self.dollars is not None and self.price_per_gpu_hour is None:
            raise ValueError("price_per_gpu_hour: missing; dollars are counted as gpu_hours times it")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by their keys."""
        limits = {key: getattr(self, key) for key in UNITS}
        return {key: limit for key, limit in limits.items() if limit is not None}


@dataclass(frozen=True)
class Spent:
    """Epochs of training, seconds of trials on their devices, and seconds by the clock while a driver ran."""

    epochs: float = 0
    device_seconds: float = 0
    wall_seconds: float = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.epochs + other.epochs,
            self.device_seconds + other.device_seconds,
            self.wall_seconds + other.wall_seconds,
        )


def spent_on(study: Study, totals: Totals) -> Spent:
    """What the trials of a study have spent. totals: of its journal."""
    inherited = sum(trial.inherited for trial in study.heirs if trial.number in totals.epochs_of)
    return Spent(totals.epochs - inherited, totals.seconds, study.wall_seconds)


@dataclass(frozen=True)
class Budget:
    """Says when a search must end so that it and the finals stay within the limits.

    The epochs that running trials need up to their next rung count as spent. So do the epochs of the finals, at the
    cost per epoch of the best trials so far. A trial starts, or passes a rung, if the longest stretch between two
    rungs still fits. So a limit in epochs is never exceeded, and a limit in time only if epochs become slower.
    """

    config: BudgetConfig
    epochs: float  # of a whole trial
    rungs: tuple[int, ...]  # in the unit
    unit: Unit
    finals: int  # the number of retrainings
    finalists: int
    slots: int  # trials at a time
    before: Spent = Spent()  # by the trials of other journals
    devices: float = 1.0  # of a trial, see `journal.device_seconds`
    ends_running = True

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why the search must end; None while it may continue."""
        if not self.config.limits:
            return None
        totals = journal.totals
        spent = self.spent(study, journal)
        per_epoch = self._rung_units(study)
        ends = [0, *(rung / per_epoch for rung in self.rungs if rung < self.epochs * per_epoch), self.epochs]
        longest = max(end - start for start, end in pairwise(ends))
        owed = longest + sum(self._owed(trial, per_epoch) for trial in study.active.values())
        each = _seconds_an_epoch(spent_on(study, totals))
        needed = Spent(owed, owed * each, longest * each / self.devices)
        each = _seconds_an_epoch(sum((_spent_on_one(t, totals) for t in study.best(self.finalists)), Spent()))
        waves = -(-self.finals // self.slots)
        owed = self.finals * self.epochs
        kept = Spent(owed, owed * each, waves * self.epochs * each / self.devices)
        for key, limit in self.config.limits.items():
            used, going, finals = (self._amount(key, cost) for cost in (spent, needed, kept))
            if used + going + finals > limit * (1 + 1e-9):  # sums of fractional epochs have rounding errors
                too_small = ", which run though the budget is too small for them" if used + finals > limit else ""
                return (
                    f"search.budget.{key} {limit:g} is used up: {used:.4g} {UNITS[key]} spent, "
                    f"{finals:.4g} kept for the finals{too_small}, {going:.4g} needed to go on"
                )
        return None

    def spent(self, study: Study, journal: Journal) -> Spent:
        """What was spent so far."""
        return self.before + spent_on(study, journal.totals)

    def refuses(self, more: Spent) -> str | None:
        """Why this cost does not fit beside what was spent before; None if it does."""
        for key, limit in self.config.limits.items():
            used, needed = self._amount(key, self.before), self._amount(key, more)
            if used + needed > limit * (1 + 1e-9):
                left = max(0.0, limit - used)
                return f"search.budget.{key} {limit:g} has {left:.4g} {UNITS[key]} left, and {needed:.4g} are needed"
        return None

    def share(self, spent: Spent) -> float | None:
        """The share that is spent of the limit that will be reached first; None without limits."""
        return max((self._amount(key, spent) / limit for key, limit in self.config.limits.items()), default=None)

    def bill(self, spent: Spent) -> float | None:
        """The dollars spent; None without a price."""
        return None if self.config.price_per_gpu_hour is None else self._amount("dollars", spent)

    def describe(self) -> list[str]:
        """A line for each limit with how much of it was spent, and the bill if there is no limit in dollars."""
        amounts = [(key, limit, self._amount(key, self.before)) for key, limit in self.config.limits.items()]
        lines = [f"{used:.4g} of {limit:g} {UNITS[key]} ({used / limit:.0%})" for key, limit, used in amounts]
        if self.config.dollars is None and (bill := self.bill(self.before)) is not None:
            lines.append(f"{bill:.4g} dollars, at {self.config.price_per_gpu_hour:g} a GPU hour")
        return lines

    def _rung_units(self, study: Study) -> int:
        """An epoch in the unit of the rungs: 1, or the fewest steps or tokens of an epoch that a trial had."""
        if self.unit == "epoch":
            return 1
        return min(
            (each for trial in study.trials.values() if (each := trial.per_epoch)), default=1
        )  # with 1 before the first report all rungs are beyond the end, so a whole trial must fit

    def _owed(self, trial: StudyTrial, per_epoch: int) -> float:
        """Epochs up to the next rung, or to the end; 0 while the trial waits at a rung."""
        if trial.progress in self.rungs and not trial.passed(trial.progress):
            return 0
        units = trial.per_epoch or per_epoch
        ends = (*(rung / units for rung in self.rungs if rung > trial.progress), self.epochs)
        return max(0, min(ends) - trial.epochs)

    def _amount(self, key: str, spent: Spent) -> float:
        hours = spent.device_seconds / 3600
        match key:
            case "epochs":
                return spent.epochs
            case "gpu_hours":
                return hours
            case "dollars":
                return hours * (self.config.price_per_gpu_hour or 0)
        return spent.wall_seconds / 3600


def _spent_on_one(trial: StudyTrial, totals: Totals) -> Spent:
    epochs = totals.epochs_of.get(trial.number, 0)
    return Spent(epochs - trial.inherited if epochs else 0, totals.seconds_of.get(trial.number, 0))


def _seconds_an_epoch(spent: Spent) -> float:
    """The mean device seconds of an epoch; 0 before anything is measured."""
    return spent.device_seconds / spent.epochs if spent.epochs else 0
