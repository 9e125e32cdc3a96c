"""The cost of a trial for the driver after 100, 1,000 and 10,000 trials: CPU time, memory, size of the study.

python bench/growth.py [SAMPLER [SCHEDULER]]    random and asha_promotion unless given

The driver without Ray: study and journal on disk, sampler, scheduler, budget, progress view and tracking feed, on the
space of configs/architecture.yaml; 64 simulated slots report in random order. Trials that are not timed are drawn at
random.
"""

import math
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from landscape import make_experiment, measured
from rich.console import Console

from search.driver.progress import TrialProgress
from search.engine.checkpoint_cleaner import CheckpointCleaner
from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import FINISHED, Work
from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.budget import Budget
from search.record.journal import Journal
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Proposal
from search.settings.experiment import Experiment
from search.space.space import Params
from search.tracking.feed import Feed, FeedListener
from trainables.assignment import Assignment
from trainables.base.config import TrialConfig
from trainables.base.report import EpochReport
from trainables.base.translation_config import as_translation
from trainables.sharing.checkpoint_places import Checkpoints

SLOTS, EPOCHS = 64, 4
WINDOWS = {100: 50, 1000: 100, 10_000: 200}  # number of timed trials after so many others


def growth_experiment(folder: Path, sampler: str, scheduler: str) -> Experiment:
    tree = make_experiment(sampler, max(map(sum, WINDOWS.items())), 0).model_dump(mode="json")
    tree |= {"name": "growth", "output_dir": str(folder)}
    tree["training"] |= {"epochs": EPOCHS}
    tree["search"] |= {"scheduler": scheduler, "budget": {"dollars": 1e9, "price_per_gpu_hour": 1.0}}
    return Experiment.model_validate(tree)


def open_work(experiment: Experiment, console: Console) -> tuple[Work, TrialProgress]:
    """The work of a search, as in `search/driver/search_run.py`."""
    run_dir, search = experiment.run_dir, experiment.search
    run_dir.mkdir()
    study, journal = Study(run_dir / "study.db", "search", search.direction), Journal(run_dir / "trials.jsonl")
    plan = TimedPlan(experiment)
    budget = Budget(search.budget, EPOCHS, experiment.rungs, "epoch", 6, 3, SLOTS)
    trials = Trials("trial", study, journal, plan, budget, search.trials or math.inf)
    progress = TrialProgress(console, trials, TimeLeft(experiment, SLOTS))
    feed = FeedListener(
        Feed(experiment, 0), study, "trial", 0, lambda trial: experiment.trial.with_values(trial.params)
    )
    checkpoints = Checkpoints(run_dir / "trials")
    cleaner = CheckpointCleaner(checkpoints, keep_completed=False)
    records, rules = Records(study, journal, checkpoints), Rules(plan, make_scheduler(experiment), [budget])
    work = Work(experiment, records, rules, [progress, feed, cleaner])
    return work, progress


class TimedPlan:
    """Proposes timed trials with the sampler, and the others at random."""

    def __init__(self, experiment: Experiment):
        self.asked = SearchPlan(experiment)
        drawn = experiment.search.sampler.kind == "random"
        self.random = self.asked if drawn else SearchPlan(experiment.with_values({"search.sampler": "random"}))
        self.distributions = self.asked.distributions

    def propose(self, study: Study) -> Proposal | None:
        timed = any(mark <= len(study.trials) < mark + window for mark, window in WINDOWS.items())
        return (self.asked if timed else self.random).propose(study)

    def config(self, params: Params) -> TrialConfig:
        return self.asked.config(params)


class Clock:
    """CPU milliseconds per trial, memory and size of the study, after the numbers of trials in WINDOWS."""

    def __init__(self, study: Study, file: Path):
        self.study, self.file, self.rows = study, file, dict[int, str]()
        self.elsewhere = 0.0  # seconds of the simulated training
        self.begin: dict[int, float] = {}

    @contextmanager
    def stopped(self) -> Iterator[None]:
        started = time.process_time()
        yield
        self.elsewhere += time.process_time() - started

    def look(self) -> None:
        """Measure; call it after each report."""
        trials, seconds = len(self.study.trials), time.process_time() - self.elsewhere
        for mark, window in WINDOWS.items():
            if trials >= mark:
                self.begin.setdefault(mark, seconds)
            if trials >= mark + window and mark not in self.rows:
                each = 1000 * (seconds - self.begin[mark]) / window
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                size = self.file.stat().st_size / 2**20
                self.rows[mark] = f"| {mark:,} | {each:.1f} | {memory:.0f} | {size:.1f} |"


def score(experiment: Experiment, trial: StudyTrial, epoch: int) -> float:
    """A rising curve towards the landscape's score; not a number where that diverges."""
    end = measured(as_translation(experiment.trial.with_values(trial.params)), 0)
    return float("nan") if end is None else end * (1 - 0.5**epoch)


def search(work: Work, experiment: Experiment, clock: Clock) -> None:
    """Simulated workers: trials report immediately, in random order."""
    chance, running = random.Random(0), list[int]()
    while True:
        while isinstance(task := work.next(SLOTS), Assignment):
            running.append(task.number)
        if task == FINISHED or len(clock.rows) == len(WINDOWS):
            return
        place = chance.randrange(len(running))
        trial = work.study.trials[running[place]]
        with clock.stopped():
            epoch = trial.progress + 1
            value = score(experiment, trial, epoch)  # of any metric
            figures = {**dict.fromkeys(experiment.search.metrics, value), "train_loss": value, "tokens": 1000}
            report = EpochReport(epoch, epoch, figures, train_seconds=60.0, eval_seconds=6.0)
        if not work.reported(trial.number, report):
            work.released(running.pop(place), crashed=False)
        clock.look()


def main(sampler: str = "random", scheduler: str = "asha_promotion") -> None:
    with TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        experiment = growth_experiment(Path(folder), sampler, scheduler)
        work, progress = open_work(experiment, Console(file=nowhere, force_terminal=True))
        clock = Clock(work.study, experiment.run_dir / "study.db")
        with progress:  # catches the output
            search(work, experiment, clock)
    head = ("| trials before | ms of a core a trial | MiB in all | MiB of study.db |", "|---|---|---|---|")
    print(*head, *clock.rows.values(), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
