"""A search that is played on from where it stands, to its report.

Its own scheduler and budget decide, on made-up scores that keep the order of the real ones, so promotions to come,
limits and finals are in it. Nothing of the running search is touched.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np

from search.engine.proposals import make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.finals.choosing import choose_finalists, final_seeds
from search.planning import made_up
from search.planning.chances import simulated_chance
from search.planning.made_up import JournalInMemory, NoCheckpoints, VirtualStudy
from search.planning.seen import Seen, Standing, Trials
from search.planning.virtual_time import play, seconds_in_slots, unlogged
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Proposal
from search.schedulers.unranked import ToTheEnd
from search.space.space import Params
from trainables.base.config import TrialConfig
from trainables.base.report import EpochReport
from trainables.base.rounds import Rounds

MOST_TRIALS = 100  # to come that are played; what more take follows in proportion
NOISE = 0.3  # of a score, in standard deviations of the scores at a rung
LOWEST = 10.0  # made-up score: above what a metric calls too low to tell anything
BELIEVED = 4.0  # proposals, after which every second one to come is like those that were made
DOUBT = 2.0  # that larger models are better: so much counts what was seen, as the variance of the logarithm of works
NORMAL = NormalDist()
Orders = dict[int, dict[int, float]]  # trial -> progress -> standard deviations


@dataclass(frozen=True)
class Left:
    """What is expected from now on.

    Attributes:
        epochs: Of training, in search and finals.
        seconds: By the clock, until the report is written.
    """

    epochs: float
    seconds: float


def play_on(seen: Seen, now: Standing, courses: int) -> Left:
    """What is left in the mean of some courses, each with other chances. Something must have been reported."""
    orders = normal_scores(now.trials.study)
    with unlogged():
        found = [_Course(seen, now, orders, seed).play() for seed in range(courses)]
    return Left(fmean(left.epochs for left in found), fmean(left.seconds for left in found))


def normal_scores(study: Study) -> Orders:
    """How good trials are, in standard deviations, by the order of their scores at each progress.

    Those who come to a later progress keep among them the values that they had: survivors are better than most.
    """
    found: Orders = {number: {} for number in study.trials}
    for progress in sorted(study.reached):
        trials = sorted(study.reached[progress], key=lambda trial: (study.merit(trial, progress), -trial.number))
        count = len(trials)
        values = sorted(
            NORMAL.inv_cdf((place + 0.5) / count) if not (known := found[trial.number]) else known[max(known)]
            for place, trial in enumerate(trials)
        )
        for trial, value in zip(trials, values, strict=True):
            found[trial.number][progress] = value
    return found


class _Course:
    """One way in which it may go on; the seed decides which."""

    def __init__(self, seen: Seen, now: Standing, orders: Orders, seed: int):
        self.seen, self.now, self.experiment = seen, now, seen.experiment
        self.rng = np.random.default_rng(seed)
        self.finals = now.trials.kind == "final"
        self.study = VirtualStudy(self.experiment.search.direction)
        self.study.wall_seconds = now.trials.study.wall_seconds
        self.journal = JournalInMemory(now.trials.journal.lines)
        self.quality: dict[int, float] = {}  # of a trial, in standard deviations; by its number
        for trial in now.trials.study.trials.values():
            known = orders[trial.number]
            self.quality[trial.number] = known.get(trial.progress, float(self.rng.normal()))
            scores = {progress: self._score(trial, progress, value) for progress, value in known.items()}
            self.study.take(replace(trial, scores=scores, losses={}))
        records = Records(self.study, self.journal, NoCheckpoints(Path()))
        if self.finals:
            rules = Rules(now.trials.plan, ToTheEnd())
        else:
            self.drawn = _Drawn(seen, now.trials, self.quality, self.rng)
            scheduler = make_scheduler(self.experiment, simulated_chance(self.experiment))
            rules = Rules(self.drawn, scheduler, [now.trials.budget])
        self.work = Work(self.experiment, records, rules)

    def play(self) -> Left:
        slots, stretch = self.now.at_once, self.now.stretch
        before = self._epochs()
        seconds = play(self.work, slots, self._report, self.now.running, stretch)
        epochs = self._epochs() - before
        if self.finals:
            return Left(epochs, seconds + self.seen.ending(len(self.study.trials)))
        more, chosen = self._more(), choose_finalists(self.study, self.experiment).finalists
        seeds = len(final_seeds(self.experiment))
        ending = self.seen.ending(len(chosen) * seeds)
        if self.experiment.finals.seeds == 0:
            return Left(epochs * more, seconds * more + ending)
        each = [self.seen.rounds.count * self._seconds(self.study.trials[finalist.trial]) for finalist in chosen]
        finals = seconds_in_slots([seconds for seconds in each for _ in range(seeds)], slots) * stretch
        training = seconds * more + self.seen.start + finals
        return Left(
            epochs * more + len(chosen) * seeds * self.experiment.training.epochs,
            min(training, self._most()) + ending,
        )

    def _most(self) -> float:
        """Seconds of training by the clock that the budget leaves."""
        hours = self.experiment.search.budget.wall_hours
        spent = self.now.trials.budget.spent(self.now.trials.study, self.now.trials.journal).wall_seconds
        return math.inf if hours is None else max(0.0, hours * 3600 - spent)

    def _more(self) -> float:
        """How many times as long the rest of the search is as its part that was played."""
        trials, expected = len(self.now.trials.study.trials), self.now.trials.expected
        played = len(self.study.trials) - trials
        if self.study.ended or len(self.study.trials) >= expected or not played:
            return 1.0
        if expected < math.inf:
            return (expected - trials) / played
        budget = self.now.trials.budget
        start = budget.share(budget.spent(self.now.trials.study, self.now.trials.journal)) or 0.0
        end = budget.share(budget.spent(self.study, self.journal)) or 1.0
        return max(1.0, (1 - start) / max(1e-6, end - start))

    def _epochs(self) -> float:
        return self.now.trials.budget.spent(self.study, self.journal).epochs

    def _seconds(self, trial: StudyTrial) -> float:
        """The seconds of a report of the trial."""
        if trial.number in self.now.trials.study.trials or self.finals:
            return self.seen.seconds(self.now.trials, trial)
        return self.seen.pace.seconds(self.drawn.works.get(trial.number, self.drawn.typical))

    def _report(self, trial: StudyTrial) -> EpochReport:
        """The next one of the trial."""
        search, rounds = self.experiment.search, self._rounds(trial)
        progress = rounds.after(trial.progress)
        if trial.number not in self.quality:
            self.quality[trial.number] = 0.0 if self.finals else self.drawn.qualities.get(trial.number, 0.0)
        quality = self.quality[trial.number] + NOISE * float(self.rng.normal())
        score = self._score(trial, rounds.epoch(progress), quality)
        figures = {search.metric: score}
        if search.compared_by.instead:
            figures[search.compared_by.instead] = -score
        return EpochReport(
            epoch=rounds.epoch(progress),
            step=rounds.step(progress),
            token=progress if self.experiment.training.unit == "token" else None,
            figures=figures,
            train_seconds=self._seconds(trial),
            eval_seconds=0.0,
            devices=self.now.trials.budget.devices,
        )

    def _rounds(self, trial: StudyTrial) -> Rounds:
        """Those of the trial, or of another one before it has reported."""
        known, seen = trial.attributes, self.seen.rounds
        if trial.per_epoch is None:
            return seen
        return Rounds(seen.training, known.epoch_steps or seen.epoch_steps, known.epoch_tokens or seen.epoch_tokens)

    def _score(self, trial: StudyTrial, epochs: float, quality: float) -> float:
        """Made up: which of two is better is all that it says."""
        share = epochs / self.experiment.training.epochs
        score = max(2.0, made_up.MEAN + made_up.DEVIATION * quality) * (1 - math.exp(-made_up.SPEED * share))
        return LOWEST + score if self.study.maximize else -score


class _Drawn:
    """Trials to come: draws of the space, of which a sampler that learns takes the better and larger."""

    def __init__(self, seen: Seen, trials: Trials, quality: dict[int, float], rng: np.random.Generator):
        search = seen.experiment.search
        self.most = min(trials.expected, search.trials or math.inf, len(trials.study.trials) + MOST_TRIALS)
        self.distributions = trials.plan.distributions
        self.seen, self.rng = seen, rng
        self.works: dict[int, float] = {}
        self.qualities: dict[int, float] = {}
        self._works = np.log([work for _, work in seen.draws])
        middle, variance = self._works.mean(), self._works.var()
        self.typical = math.exp(middle)
        proposed = list(trials.study.trials.values())
        self._proposed = np.log([seen.work(trials, trial) for trial in proposed])
        self._good = np.array([quality[trial.number] for trial in proposed])
        sizes = self._proposed - middle
        prior = made_up.SIZE_MATTERS / math.sqrt(1 + made_up.SIZE_MATTERS**2 * variance)
        self._slope = (prior * DOUBT + float(sizes @ self._good)) / (DOUBT + float(sizes @ sizes))
        self._rest = math.sqrt(max(0.1, 1 - self._slope**2 * variance))

    def propose(self, study: Study) -> Proposal | None:
        """The same until it is taken."""
        number = len(study.trials)
        if number >= self.most:
            return None
        if number not in self.works:
            place = self._draw(number)
            self._params, self.works[number] = self.seen.draws[place]
        return Proposal(self._params)

    def _draw(self, number: int) -> int:
        """The place of a draw for a trial of that number: one like those that were proposed, or the best of some."""
        known = len(self._proposed)
        if self.rng.random() < known / (known + BELIEVED):
            like = self._proposed[self.rng.integers(known)]
            drawn = np.abs(self._works - like).argmin(keepdims=True)
        else:
            learnt = number // made_up.LEARNING if self.seen.experiment.search.sampler.learns else 0
            drawn = self.rng.integers(len(self._works), size=min(1 + learnt, made_up.MOST_DRAWS))
        sizes = self._works[drawn] - self._works.mean()
        qualities = self._slope * sizes + self._rest * self.rng.normal(size=len(drawn))
        best = int(qualities.argmax())
        self.qualities[number] = float(qualities[best])
        return int(drawn[best])

    def config(self, params: Params) -> TrialConfig:
        """Nobody trains it."""
        return self.seen.experiment.trial
