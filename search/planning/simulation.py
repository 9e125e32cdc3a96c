"""A whole search, played through in seconds: its own scheduler, budget and finals on made-up learning curves."""

import heapq
import logging
import math
from dataclasses import dataclass
from pathlib import Path

from search.cluster.slots import Slots
from search.engine.proposals import Plan, make_budget, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.finals.choosing import choose_finalists, final_seeds
from search.planning.made_up import Curves, DrawnPlan, JournalInMemory, NoCheckpoints, VirtualStudy
from search.planning.size import parameters_of
from search.planning.speeds import Seconds, Speeds
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.translation.finals_config import TranslationFinals
from trainables.assignment import Assignment
from trainables.base.checkpoint_files import KEEP
from trainables.base.config import TrialConfig
from trainables.base.report import EpochReport

MOST_TRIALS = 300  # that are played through; what more trials take follows in proportion
STATE_BYTES = 12  # of a checkpoint, a parameter: the weight and Adam's two moments in float32
BEST_BYTES = 4  # of the best model, a parameter
log = logging.getLogger("babeltune.work")


@dataclass(frozen=True)
class Course:
    """What one simulated search took; trials, epochs and seconds are without the finals."""

    trials: float
    epochs: float
    device_seconds: float  # as `BudgetConfig.gpu_hours` counts them
    seconds: float  # by the clock
    finals_device_seconds: float
    finals_seconds: float
    scoring_seconds: float  # on the test split
    disk: float  # bytes of checkpoints when they are most


@dataclass(frozen=True)
class Conditions:
    """What a search is simulated with."""

    experiment: Experiment
    slots: Slots
    speeds: Speeds
    epoch_steps: int  # optimizer steps an epoch


def simulate(conditions: Conditions, seed: int, curves: Curves | None = None, plan: Plan | None = None) -> Course:
    """One search; the seed decides which trials do well.

    curves and plan: others than made-up ones, for bench/courses.py. The made-up plan takes the place of the sampler,
    as asking a Gaussian process takes longer than everything else here.
    """
    experiment = conditions.experiment
    level = log.level
    log.setLevel(logging.WARNING)  # none of this is to stand in the log of a run
    try:
        curves = curves or Curves(experiment.trial, seed)
        plan = plan or DrawnPlan(experiment, curves, MOST_TRIALS, seed)
        return _Simulation(conditions, curves, plan).run()
    finally:
        log.setLevel(level)


class _Simulation:
    def __init__(self, conditions: Conditions, curves: Curves, plan: Plan):
        self.experiment, self.slots = experiment, slots = conditions.experiment, conditions.slots
        self.speeds, self.epoch_steps = conditions.speeds, conditions.epoch_steps
        self.study = VirtualStudy(None, "plan", experiment.search.direction)
        self.journal = JournalInMemory()
        self.budget = make_budget(experiment, slots.count, slots.gpus)
        self.curves, self.plan = curves, plan
        records = Records(self.study, self.journal, NoCheckpoints(Path("trials")))
        self.work = Work(experiment, records, Rules(self.plan, make_scheduler(experiment), [self.budget]))
        self.clock: list[tuple[float, int, int]] = []  # (time of the next report, order, trial)
        self.seconds: dict[int, Seconds] = {}  # by the number of the trial, as its bytes
        self.state_bytes: dict[int, float] = {}
        self.pushed, self.disk = 0, 0.0

    def run(self) -> Course:
        now = 0.0
        while True:
            while isinstance(task := self.work.next(self.slots.count), Assignment):
                self.seconds[task.number] = self.speeds.of(task.config)
                self.state_bytes[task.number] = STATE_BYTES * parameters_of(task.config)
                self._push(now, task.number)
            if not self.clock:
                break
            now, _, number = heapq.heappop(self.clock)
            self.study.wall_seconds = now
            if self.work.reported(number, self._report(self.study.trials[number])):
                self._push(now, number)
            else:
                self.work.released(number, crashed=False)
            self.disk = max(self.disk, sum(self._kept(trial) for trial in self.study.running.values()))
        return self._course(now)

    def _push(self, now: float, number: int) -> None:
        report = self._report(self.study.trials[number])
        self.pushed += 1
        heapq.heappush(self.clock, (now + report.train_seconds + report.eval_seconds, self.pushed, number))

    def _report(self, trial: StudyTrial) -> EpochReport:
        """The next one of the trial."""
        training, seconds = self.experiment.training, self.seconds[trial.number]
        steps = training.report_steps or self.epoch_steps
        done = trial.progress * (1 if training.report_steps else self.epoch_steps)
        step = min(done + steps, training.total_steps(self.epoch_steps))
        share = (step - done) / self.epoch_steps
        epoch = step // self.epoch_steps if step % self.epoch_steps == 0 else step / self.epoch_steps
        score = self.curves.score(self.plan.config(trial.params), epoch / training.epochs)
        return EpochReport(
            epoch=epoch,
            step=step,
            figures={"valid_bleu": score, "valid_loss": 5 - score / 10, "valid_nll_per_char": 2 - score / 30},
            train_seconds=seconds.train * share,
            eval_seconds=seconds.valid,
            devices=self.slots.gpus or 1.0,
        )

    def _kept(self, trial: StudyTrial) -> float:
        """Bytes of the trial's checkpoints, and of the one that is being written."""
        reports = len(trial.scores) - trial.inherited
        return self.state_bytes.get(trial.number, 0.0) * (min(reports, KEEP) + 1)

    def _course(self, now: float) -> Course:
        spent = self.budget.spent(self.study, self.journal)
        more = self._more()
        finals = self._finals()
        long = [self.speeds.of(config) for config in finals]
        each = [self._training_seconds(seconds) for seconds in long]
        tests = [seconds.test for seconds in long]
        settings = self.experiment.finals
        assert isinstance(settings, TranslationFinals)
        kept = max(KEEP, settings.average_checkpoints) if settings.seeds else KEEP
        disk = sum(STATE_BYTES * kept * parameters_of(config) for config in finals)
        best = BEST_BYTES * max((parameters_of(config) for config in finals), default=0)
        trains = self.experiment.finals.seeds > 0
        return Course(
            trials=len(self.study.trials) * more,
            epochs=spent.epochs * more,
            device_seconds=spent.device_seconds * more,
            seconds=now * more,
            finals_device_seconds=sum(each) * (self.slots.gpus or 1.0) if trains else 0.0,
            finals_seconds=_in_slots(each, self.slots.count) if trains else 0.0,
            scoring_seconds=_in_slots(tests, self.slots.count),
            disk=max(self.disk * more, disk) + best,
        )

    def _training_seconds(self, seconds: Seconds) -> float:
        training = self.experiment.training
        reports = math.ceil(training.epochs * self.epoch_steps / (training.report_steps or self.epoch_steps))
        return training.epochs * seconds.train + reports * seconds.valid

    def _finals(self) -> list[TrialConfig]:
        """The configurations that are scored, once for each seed."""
        chosen = choose_finalists(self.study, self.experiment).finalists
        return [self.plan.config(finalist.params) for finalist in chosen for _ in final_seeds(self.experiment)]

    def _more(self) -> float:
        """How many times as long the search is as its part that was played through."""
        if len(self.study.trials) < MOST_TRIALS or self.study.ended:
            return 1.0
        if self.experiment.search.trials is not None:
            return min(self.experiment.search.trials, self.experiment.space.size()) / len(self.study.trials)
        share = self.budget.share(self.budget.spent(self.study, self.journal))
        return 1 / share if share else 1.0


def _in_slots(seconds: list[float], slots: int) -> float:
    """By the clock, where each goes to the slot that is free first."""
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)
