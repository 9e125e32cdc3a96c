"""Trains the trials of a study in the slots of a search, within its budget."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from search.cluster.joining import count_workers
from search.cluster.slots import Slots
from search.cluster.tuning import run_work, worker_setup
from search.driver.live_report import LiveReport
from search.driver.progress import TrialProgress
from search.engine.ordering import WorkClock
from search.engine.proposals import Plan, make_budget
from search.engine.ready import LEAST_SLOTS, ReadyPlan
from search.engine.rules import Ending, Records, Rules
from search.engine.settling import Settled
from search.engine.work import Listener, Work
from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.budget import Budget, Spent
from search.record.journal import Journal
from search.record.study import Study
from search.schedulers import Scheduler
from search.settings.experiment import Experiment
from search.tracking.tracker import Tracker
from trainables.base.checkpoint_files import KEEP
from trainables.base.locks import DriverLock
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.sharing.storage import Storage


@dataclass(frozen=True)
class StudyRun:
    """A study and how to run its trials."""

    kind: Literal["trial", "final"]  # in the names of the journal and the folder
    study: Study
    plan: Plan
    scheduler: Scheduler
    expected: float  # the number of trials, for the progress display
    spent: Spent  # on other studies before this one
    listeners: Sequence[Listener] = ()


@dataclass
class Trainer:
    """Trains the studies of a search and of its finals, with what both have in common."""

    experiment: Experiment
    slots: Slots
    lock: DriverLock
    storage: Storage | None
    tracker: Tracker
    console: Console
    keep_safe: Callable[[], None]  # see `SearchRun`
    live: LiveReport | None = None
    watchdog: Listener | None = None

    def __post_init__(self) -> None:
        self.left = TimeLeft(self.experiment, self.slots.count)

    def checkpoints(self, kind: Literal["trial", "final"]) -> Checkpoints:
        """The checkpoints of trials or of finals."""
        return Checkpoints(self.experiment.run_dir / f"{kind}s", self.storage)

    def budget(self, before: Spent) -> Budget:
        """The budget of search and finals. before: what was spent before."""
        return make_budget(self.experiment, self.slots.count, self.slots.gpus, before)

    def train(self, run: StudyRun) -> None:
        """Run the trials of a study, or the rest of them."""
        experiment, kind, study, plan = self.experiment, run.kind, run.study, run.plan
        journal = Journal(experiment.run_dir / f"{kind}s.jsonl")
        budget = self.budget(run.spent)
        settled = [Settled(experiment.search.metric)] if experiment.search.stop_when_settled else []
        machines = None if experiment.cluster is None else count_workers
        trials = Trials(kind, study, journal, plan, budget, run.expected)
        progress = TrialProgress(self.console, trials, self.left, machines)
        clock = None
        if experiment.search.deterministic and kind == "trial":
            work_of_report = experiment.definition.work_of_report
            clock = WorkClock(study, journal.lines, lambda trial: work_of_report(plan.config(trial.params)))
        if kind == "trial" and clock is None and self.slots.count >= LEAST_SLOTS:
            plan = ReadyPlan(plan, self.slots.count)
        endings: list[Ending] = [budget, *settled] if kind == "trial" else []  # the search left enough for finals
        work = Work(
            experiment,
            Records(study, journal, self.checkpoints(kind), self.keep_safe),
            Rules(plan, run.scheduler, endings, clock, experiment.definition.train_as_one),
            [
                progress,
                *self.tracker.listeners(kind, study),
                *([self.live.of(progress.standing)] if self.live else []),
                *([self.watchdog] if self.watchdog else []),
                *run.listeners,
            ],
        )
        with ExitStack() as stack:
            stack.callback(journal.close)
            stack.enter_context(progress)
            if not work.done:
                keep, group_size = KEEP, 1
                if kind == "final":
                    keep, group_size = experiment.finals.last_checkpoints, self.slots.runs_each(int(run.expected))
                setup = worker_setup(experiment, self.slots, self.lock, self.storage, keep)
                run_work(work, self.slots, setup, group_size=group_size)
        self.keep_safe()
