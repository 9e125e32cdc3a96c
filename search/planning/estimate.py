"""An estimate of what a search will take, with intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from search.cluster.slots import Slots
from search.planning.extent import Extent
from search.planning.models import models_of
from search.planning.simulation import BEST_BYTES, Conditions, Course, simulate
from search.planning.speeds import Speeds
from search.settings.experiment import Experiment
from trainables.base.rounds import Rounds

SEEDS = 5  # simulated searches
EPOCHS_SPREAD = 1.2  # the factor by which epochs of real searches differ from simulated ones: docs/planning.md
SPREAD = 1.4  # the factor by which their hours differ, also because the probe is short
WORKERS_SECONDS = 8.0  # for the imports of workers, before trials and before finals
FIXED_SECONDS = 15.0  # for Ray to start, and from the last score to the report
WORKER_BYTES = 0.15e9  # memory of a Ray worker, without the training in it
DRIVER_BYTES = 1.2e9  # memory of the driver and of Ray's own processes
RUN_BYTES = 30e6  # disk space of a run without checkpoints: report, study, logs, W&B files
TIMES = ("gpu_hours", "dollars", "wall_hours")  # limits of a budget that depend on time


@dataclass(frozen=True)
class Range:
    """An expected value with an interval."""

    low: float
    expected: float
    high: float

    def plus(self, other: "Range") -> "Range":
        """The sum with another range, for each end."""
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> "Range":
        """The product with a factor, for each end."""
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def capped(self, most: float) -> "Range":
        """The range, with nothing above `most`."""
        return Range(min(self.low, most), min(self.expected, most), min(self.high, most))


@dataclass(frozen=True)
class Times:
    """The time that a search takes with its finals, from measured seconds."""

    wall: Range  # seconds by the clock, from the start to the report
    trained: Range  # of these, while trials and finals train
    device: Range  # seconds of trials on their devices, as `BudgetConfig.gpu_hours` counts them
    dollars: Range | None  # None without a price
    wall_most: float  # if every trial is the heaviest and runs to its end; infinite if the search then has no end
    per_trial: float  # seconds by the clock for one more trial
    besides: float  # seconds by the clock for finals, start and report


@dataclass(frozen=True)
class Estimate:
    """What a search will take."""

    trials: Range
    epochs: Range  # of training, without the finals
    epochs_most: float  # if every trial runs to its end; infinite if only a limit in time ends the search
    finals_epochs: float
    disk: Range  # the most bytes
    times: Times | None  # None if nothing was measured


def estimate(experiment: Experiment, extent: Extent, slots: Slots, rounds: Rounds, speeds: Speeds | None) -> Estimate:
    """Simulate the search a few times.

    rounds: those of the base. speeds: None if nothing was measured, for a search without
    limits in time.
    """
    conditions = Conditions(experiment, slots, speeds or Speeds.by_work(models_of(experiment)), rounds)
    courses = [simulate(conditions, seed) for seed in range(SEEDS)]
    finals_epochs = experiment.num_finals * experiment.training.epochs
    most = _most_epochs(experiment, finals_epochs)
    spread = EPOCHS_SPREAD if experiment.rungs else 1.0  # without stopping they can be counted
    found = Estimate(
        trials=_range(courses, lambda course: course.trials),
        epochs=_range(courses, lambda course: course.epochs, spread).capped(most),
        epochs_most=most,
        finals_epochs=finals_epochs,
        disk=_disk(experiment, courses, extent),
        times=None,
    )
    return replace(found, times=_times(conditions, courses, extent, most)) if speeds else found


def memory_needed(speeds: Speeds, slots: Slots) -> float:
    """The memory in bytes for trials of the heaviest model in all slots, with Ray and the driver."""
    return slots.count * (max(each.memory for each in speeds.measured) + WORKER_BYTES) + DRIVER_BYTES


def _range(courses: Sequence[Course], figure: Callable[[Course], float], spread: float = 1.0) -> Range:
    """The mean and the extremes, widened by a factor."""
    figures = [figure(course) for course in courses]
    return Range(min(figures) / spread, sum(figures) / len(figures), max(figures) * spread)


def _most_epochs(experiment: Experiment, finals_epochs: float) -> float:
    search, epochs = experiment.search, experiment.training.epochs
    trials = min(search.trials or math.inf, experiment.space.size())  # heirs of pbt train only the rest
    limit = math.inf if search.budget.epochs is None else search.budget.epochs - finals_epochs
    return min(trials * epochs, limit)


def _disk(experiment: Experiment, courses: Sequence[Course], extent: Extent) -> Range:
    if experiment.storage:  # the checkpoints are there
        best = BEST_BYTES * models_of(experiment).parameters(extent.largest.config)
        return Range(RUN_BYTES, RUN_BYTES, RUN_BYTES + best)
    return _range(courses, lambda course: course.disk).plus(Range(RUN_BYTES, RUN_BYTES, RUN_BYTES))


def _times(conditions: Conditions, courses: Sequence[Course], extent: Extent, most: float) -> Times:
    experiment, slots = conditions.experiment, conditions.slots
    budget = experiment.search.budget
    limits = {key: limit for key in TIMES if (limit := getattr(budget, key)) is not None}
    price = budget.price_per_gpu_hour
    hours = min(limits.get("gpu_hours", math.inf), limits.get("dollars", math.inf) / (price or 1))
    devices = (slots.gpus or 1.0) * slots.count
    longest = min(limits.get("wall_hours", math.inf) * 3600, hours * 3600 / devices * SPREAD)
    starts = (2 if experiment.finals.seeds else 1) * WORKERS_SECONDS
    trained = _range(courses, lambda course: course.seconds + course.finals_seconds + starts, SPREAD).capped(longest)
    scoring = _range(courses, lambda course: course.scoring_seconds, SPREAD)
    device = _range(courses, lambda course: course.device_seconds + course.finals_device_seconds, SPREAD)
    device = device.capped(hours * 3600)
    heaviest = conditions.speeds.of(extent.heaviest.config)
    each = heaviest.train + heaviest.valid
    waves = math.ceil(experiment.num_finals / slots.count) * experiment.training.epochs
    finals = waves * each + math.ceil(max(1, experiment.num_finals) / slots.count) * heaviest.test
    besides = sum(course.finals_seconds + course.scoring_seconds for course in courses) / len(courses)
    return Times(
        wall=trained.plus(scoring).plus(Range(FIXED_SECONDS, FIXED_SECONDS, FIXED_SECONDS)),
        trained=trained,
        device=device,
        dollars=device.times(price / 3600) if price else None,
        wall_most=min(SPREAD * (most * each / slots.count + finals), longest) + starts + FIXED_SECONDS,
        per_trial=sum(course.seconds for course in courses) / sum(course.trials for course in courses),
        besides=besides + starts + FIXED_SECONDS,
    )
