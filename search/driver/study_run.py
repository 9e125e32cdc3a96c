"""The trials of one study after another, trained in the slots of a search within its budget."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Literal

from rich.console import Console

from search.cluster.joining import count_workers
from search.cluster.slots import Slots
from search.cluster.tuning import run_work
from search.driver.progress import TrialProgress
from search.engine.ordering import WorkClock
from search.engine.proposals import Plan, make_budget
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


class Trainer:
    """What the search itself and its finals have in common."""

    def __init__(
        self,
        experiment: Experiment,
        slots: Slots,
        lock: DriverLock,
        storage: Storage | None,
        tracker: Tracker,
        console: Console,
        keep_safe: Callable[[], None],
    ):
        """`keep_safe` returns when what stands in the run directory is in the storage, too, if there is one."""
        self.experiment, self.slots, self.lock, self.storage = experiment, slots, lock, storage
        self.tracker, self.console, self.keep_safe = tracker, console, keep_safe
        self.left = TimeLeft(experiment, slots.count)
        self.watchdog: Listener | None = None

    def checkpoints(self, kind: Literal["trial", "final"]) -> Checkpoints:
        """Where the checkpoints of trials or of finals lie."""
        return Checkpoints(self.experiment.run_dir / f"{kind}s", self.storage)

    def budget(self, before: Spent) -> Budget:
        """What search and finals may spend, beside what was spent before."""
        return make_budget(self.experiment, self.slots.count, self.slots.gpus, before)

    def train(
        self,
        kind: Literal["trial", "final"],
        study: Study,
        plan: Plan,
        scheduler: Scheduler,
        expected: float,
        spent: Spent,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Run the trials of a study, or what is left of them; `kind` names them, their journal and their folder.

        expected: how many trials, for the progress view. spent: on others before these.
        """
        experiment = self.experiment
        journal = Journal(experiment.run_dir / f"{kind}s.jsonl")
        budget = self.budget(spent)
        settled = [Settled(experiment.search.metric)] if experiment.search.stop_when_settled else []
        machines = None if experiment.cluster is None else count_workers
        trials = Trials(kind, study, journal, plan, budget, expected)
        progress = TrialProgress(self.console, trials, self.left, machines)
        clock = None
        if experiment.search.deterministic and kind == "trial":
            work_of_report = experiment.definition.work_of_report
            clock = WorkClock(journal.lines, lambda trial: work_of_report(plan.config(trial.params)))
        endings: list[Ending] = [budget, *settled] if kind == "trial" else []  # what the finals need was set aside
        work = Work(
            experiment,
            Records(study, journal, self.checkpoints(kind), self.keep_safe),
            Rules(plan, scheduler, endings, clock, experiment.definition.train_as_one),
            [progress, *self.tracker.listeners(kind, study), *([self.watchdog] if self.watchdog else []), *listeners],
        )
        with ExitStack() as stack:
            stack.callback(journal.close)
            stack.enter_context(progress)
            if not work.done:
                keep, group_size = KEEP, 1
                if kind == "final":
                    keep, group_size = experiment.finals.last_checkpoints, self.slots.runs_each(int(expected))
                run_work(work, self.slots, self.lock, experiment, keep=keep, group_size=group_size)
        self.keep_safe()
