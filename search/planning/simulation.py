"""Simulates a whole search in seconds: its own scheduler, budget and finals on made-up learning curves."""

from dataclasses import dataclass
from pathlib import Path

from search.cluster.slots import Slots
from search.engine.proposals import Plan, make_budget, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.finals.choosing import choose_finalists, final_seeds
from search.planning.chances import simulated_chance
from search.planning.made_up import Curves, DrawnPlan, JournalInMemory, NoCheckpoints, VirtualStudy
from search.planning.models import models_of
from search.planning.speeds import Seconds, Speeds
from search.planning.virtual_time import play, seconds_in_slots
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.translation.finals_config import TranslationFinals
from trainables.base.checkpoint_files import KEEP
from trainables.base.config import TrialConfig
from trainables.base.report import EpochReport
from trainables.base.rounds import Rounds

MOST_TRIALS = 300  # that are simulated; the cost of more trials is extrapolated
BEST_BYTES = 4  # of the best model, for each parameter


@dataclass(frozen=True)
class Course:
    """The cost of one simulated search; trials, epochs and seconds are without the finals."""

    trials: float
    epochs: float
    device_seconds: float  # as `BudgetConfig.gpu_hours` counts them
    seconds: float  # by the clock
    finals_device_seconds: float
    finals_seconds: float
    scoring_seconds: float  # on the test split
    disk: float  # the most bytes of checkpoints at any time


@dataclass(frozen=True)
class Conditions:
    """What a search is simulated with."""

    experiment: Experiment
    slots: Slots
    speeds: Speeds
    rounds: Rounds  # of the base trial


def simulate(conditions: Conditions, seed: int, curves: Curves | None = None, plan: Plan | None = None) -> Course:
    """Simulate one search; the seed decides which trials are good.

    curves, plan: to replace the made-up ones, for bench/courses.py. The made-up plan replaces the sampler, as a
    Gaussian process would take longer than everything else here.
    """
    curves = curves or Curves(conditions.experiment.trial, seed, models_of(conditions.experiment))
    plan = plan or DrawnPlan(conditions.experiment, curves, MOST_TRIALS, seed)
    return _Simulation(conditions, curves, plan).run()


class _Simulation:
    def __init__(self, conditions: Conditions, curves: Curves, plan: Plan):
        self.experiment, self.slots = experiment, slots = conditions.experiment, conditions.slots
        self.speeds, self.rounds, self.models = conditions.speeds, conditions.rounds, models_of(experiment)
        self.study = VirtualStudy(experiment.search.direction)
        self.journal = JournalInMemory()
        self.budget = make_budget(experiment, slots.count, slots.gpus)
        self.curves, self.plan = curves, plan
        records = Records(self.study, self.journal, NoCheckpoints(Path("trials")))
        scheduler = make_scheduler(experiment, simulated_chance(experiment))
        self.work = Work(experiment, records, Rules(self.plan, scheduler, [self.budget]))
        self.seconds: dict[int, Seconds] = {}  # by the number of the trial, like its bytes
        self.state_bytes: dict[int, float] = {}
        self.disk = 0.0

    def run(self) -> Course:
        return self._course(play(self.work, self.slots.count, self._report, look=self._look))

    def _look(self) -> None:
        self.disk = max(self.disk, sum(self._kept(trial) for trial in self.study.running.values()))

    def _seconds_of(self, trial: StudyTrial) -> Seconds:
        if trial.number not in self.seconds:
            config = self.plan.config(trial.params)
            self.seconds[trial.number] = self.speeds.of(config)
            self.state_bytes[trial.number] = self.models.state_bytes(config)
        return self.seconds[trial.number]

    def _report(self, trial: StudyTrial) -> EpochReport:
        """The next report of the trial."""
        training, seconds = self.experiment.training, self._seconds_of(trial)
        progress = self.rounds.after(trial.progress)
        epoch = self.rounds.epoch(progress)
        share = epoch - self.rounds.epoch(trial.progress)
        score = self.curves.score(self.plan.config(trial.params), epoch / training.epochs)
        known = {"valid_bleu": score, "valid_loss": 5 - score / 10, "valid_nll_per_char": 2 - score / 30}
        search = self.experiment.search
        return EpochReport(
            epoch=epoch,
            step=self.rounds.step(progress),
            token=progress if training.unit == "token" else None,
            figures={search.metric: search.compared_by.worth(score), **known},
            train_seconds=seconds.train * share,
            eval_seconds=seconds.valid,
            devices=self.slots.gpus or 1.0,
        )

    def _kept(self, trial: StudyTrial) -> float:
        """The bytes of the trial's checkpoints, with the one that is being written."""
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
        disk = sum(kept * self.models.state_bytes(config) for config in finals)
        best = BEST_BYTES * max((self.models.parameters(config) for config in finals), default=0)
        trains = self.experiment.finals.seeds > 0
        return Course(
            trials=len(self.study.trials) * more,
            epochs=spent.epochs * more,
            device_seconds=spent.device_seconds * more,
            seconds=now * more,
            finals_device_seconds=sum(each) * (self.slots.gpus or 1.0) if trains else 0.0,
            finals_seconds=seconds_in_slots(each, self.slots.count) if trains else 0.0,
            scoring_seconds=seconds_in_slots(tests, self.slots.count),
            disk=max(self.disk * more, disk) + best,
        )

    def _training_seconds(self, seconds: Seconds) -> float:
        return self.experiment.training.epochs * seconds.train + self.rounds.count * seconds.valid

    def _finals(self) -> list[TrialConfig]:
        """The configurations of the finals, once for each seed."""
        chosen = choose_finalists(self.study, self.experiment).finalists
        return [self.plan.config(finalist.params) for finalist in chosen for _ in final_seeds(self.experiment)]

    def _more(self) -> float:
        """The ratio of the whole search to its simulated part."""
        if len(self.study.trials) < MOST_TRIALS or self.study.ended:
            return 1.0
        if self.experiment.search.trials is not None:
            return min(self.experiment.search.trials, self.experiment.space.size()) / len(self.study.trials)
        share = self.budget.share(self.budget.spent(self.study, self.journal))
        return 1 / share if share else 1.0
