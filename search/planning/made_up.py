"""Replacements for sampler, training, files and time in a simulated search."""

import math
from collections.abc import Iterable, Sized
from itertools import islice
from typing import Any, Literal

import numpy as np

from search.engine.proposals import SearchPlan
from search.planning.models import Models
from search.record.attributes import Attributes
from search.record.journal import Journal, JournalLine
from search.record.study import Study
from search.record.study_writer import STATES, Distributions, StudyWriter
from search.record.trial import StudyTrial
from search.samplers import Proposal, Task
from search.samplers.base import distinct, uniform_draws
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.config import TrialConfig, digest
from trainables.base.outcomes import Outcome
from trainables.sharing.checkpoint_places import Checkpoints

SIZE_MATTERS = 1.25  # standard deviations of quality that are gained by e times the operations
MEAN, DEVIATION, NOISE = 30.0, 4.0, 0.7  # mean and deviation of final scores; noise of a score
SPEED = 3.0  # a curve has reached 1 - exp(-SPEED * progress) of its end
LEARNING = 2  # for each so many trials, a sampler that learns chooses from one more draw
MOST_DRAWS = 6


class Curves:
    """Learning curves: larger models than the base reach higher scores; the rest is random, by the seed."""

    def __init__(self, base: TrialConfig, seed: int, models: Models):
        self.base, self.seed, self._work = models.work_of_pair(base), seed, models.work_of_pair

    def quality(self, config: TrialConfig) -> float:
        """How good the final score is, in standard deviations; the same at each call."""
        return SIZE_MATTERS * math.log(self._work(config) / self.base) + self._chance(config, 0)

    def score(self, config: TrialConfig, progress: float) -> float:
        """BLEU after this share of a whole training."""
        end = max(2.0, MEAN + DEVIATION * self.quality(config))
        return max(1.1, end * (1 - math.exp(-SPEED * progress)) + NOISE * self._chance(config, progress))

    def _chance(self, config: TrialConfig, progress: float) -> float:
        name = int(digest(config.model_dump())[:8], 16)
        return float(np.random.default_rng([self.seed, name, round(progress * 1e6)]).normal())


class DrawnPlan:
    """Proposes random draws; if the real sampler learns from results, the best of several draws."""

    def __init__(self, experiment: Experiment, curves: Curves, most: int, seed: int):
        """most: the most trials that it proposes."""
        self._real = SearchPlan(experiment)
        self.distributions, self.trials = self._real.distributions, experiment.search.trials
        self._experiment, self._curves, self.most = experiment, curves, most
        task, rng = Task(experiment.space, experiment.accept, seed), np.random.default_rng(seed)
        self._draws = distinct(task, uniform_draws(task, rng), rng)
        self._left: list[Params] = []  # draws that were not chosen
        self._next: tuple[int, Params | None] | None = None  # the number of trials, and the proposal after them

    def propose(self, study: Study) -> Proposal | None:
        """The next configuration; the same until it is added to the study."""
        if len(study.trials) >= min(self.trials or self.most, self.most):
            return None
        if self._experiment.search.sampler.ends or len(study.trials) < len(self._real.first):
            return self._real.propose(study)
        if self._next is None or self._next[0] < len(study.trials):
            learnt = len(study.trials) // LEARNING if self._experiment.search.sampler.learns else 0
            drawn = [*islice(self._draws, min(1 + learnt, MOST_DRAWS))] or self._left
            drawn.sort(key=lambda params: self._curves.quality(self.config(params)))
            self._left = drawn[:-1] if drawn is self._left else self._left + drawn[:-1]
            self._next = len(study.trials), drawn[-1] if drawn else None
        params = self._next[1]
        return None if params is None or self._experiment.space.key(params) in study.known else Proposal(params)

    def config(self, params: Params) -> TrialConfig:
        """The configuration for these parameters."""
        return self._real.config(params)


class VirtualStudy(Study):
    """A study in memory; its time by the clock is set by assignment to `wall_seconds`."""

    def __init__(self, direction: Literal["maximize", "minimize"]):
        super().__init__(None, "virtual", direction)
        self.writer = _NoWriter(self.trials)

    def take(self, trial: StudyTrial) -> None:
        """Add a trial as it is."""
        self.trials[trial.number] = trial
        self._note(trial)

    def set_wall_seconds(self, seconds: float, idle: float = 0.0) -> None:
        """Do nothing: real time does not count here."""


class _NoWriter(StudyWriter):
    def __init__(self, trials: Sized):
        self.trials = trials

    def add_trial(
        self, params: Params, distributions: Distributions, scores: dict[int, float], attributes: Attributes
    ) -> tuple[int, int]:
        return len(self.trials), len(self.trials)

    def set_score(self, trial: StudyTrial, progress: int, score: float) -> None: ...

    def set_attribute(self, trial: StudyTrial, key: str, value: Any) -> None: ...

    def set_study_attribute(self, key: str, value: Any) -> None: ...

    def end_trial(self, trial: StudyTrial, outcome: Outcome, value: float | None) -> tuple[Any, float | None]:
        return STATES[outcome], value

    def close(self) -> None: ...


class JournalInMemory(Journal):
    """A journal without a file."""

    def __init__(self, lines: Iterable[JournalLine] = ()) -> None:
        self.lines: list[JournalLine] = [*lines]
        self._start_counting()

    def append(self, line: JournalLine) -> JournalLine:
        """Keep a line in memory."""
        self.lines.append(line)
        return line

    def close(self) -> None:
        """Do nothing, as no file is open."""


class NoCheckpoints(Checkpoints):
    """Checkpoints of simulated trials, which have none."""

    def remove(self, number: int) -> None:
        """Do nothing."""

    def copy(self, source: int, target: int, number: int) -> None:
        """Do nothing."""
