"""What a person sees in the terminal while a search runs."""

import math
import time
from collections.abc import Callable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from search.finals.board import Leaderboard
from search.finals.stages import TestMetric
from search.record.budget import Budget
from search.record.journal import Journal, JournalLine
from search.record.study import Study
from search.record.trial import StudyTrial
from search.report.page import titled, told_interval
from search.settings.wording import count, describe, duration, plain
from trainables.base.metrics import Metric

NODES_SECONDS = 5.0  # after which the nodes of a cluster are counted again


class TrialProgress:
    """A line for each trial that ends or waits at a rung and, on a terminal, a bar below.

    The bar fits 80 columns: done, running, parked; what was spent, best after any epoch, time left.
    """

    def __init__(
        self,
        console: Console,
        study: Study,
        journal: Journal,
        budget: Budget,
        title: str,
        metric: Metric,
        trials: float,
        count_nodes: Callable[[], int] | None = None,
    ):
        """Begin with what the study holds.

        trials: how many are expected; infinite where the budget alone ends the search. count_nodes: says how many
        machines of a cluster can take trials now.
        """
        self.console, self.study, self.journal, self.budget = console, study, journal, budget
        self.title, self.metric, self.trials = title, metric, trials
        self.count_nodes, self.nodes, self.nodes_counted = count_nodes, 0, -math.inf
        self.live: set[int] = set()
        scores = [trial.scores[trial.progress] for trial in study.trials.values() if trial.scores]
        self.best = (max if study.maximize else min)(scores, default=None)
        self.epochs_before = self._epochs()  # trained before this driver started
        self.started = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID = self.bar.add_task(title, total=trials if trials < math.inf else 1, text="starting")

    def __enter__(self) -> "TrialProgress":
        self.bar.start()
        self._refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def trial_started(self, trial: StudyTrial) -> None:
        self.live.add(trial.number)
        self._refresh()

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        score = trial.scores[trial.progress]
        self.best = score if self.best is None else (max if self.study.maximize else min)(self.best, score)
        self._refresh()

    def trial_parked(self, trial: StudyTrial) -> None:
        self._print(trial, "parked")

    def trial_ended(self, trial: StudyTrial) -> None:
        self._print(trial, trial.outcome)

    def _print(self, trial: StudyTrial, outcome: str) -> None:
        self.live.discard(trial.number)
        shown = f"{self.metric.title} {self.metric.show(trial.scores[trial.progress]):>6}" if trial.scores else ""
        score = f"{shown:{len(self.metric.title) + 7}}"
        reason = f"  {escape(trial.attributes.message)}" if trial.attributes.message else ""
        self.console.print(
            f"{self.title} {trial.number:3}  {outcome:9}  epoch {plain(trial.epochs):>2}  {score}  "
            f"[dim]{describe(trial.params)}[/dim]{reason}",
            highlight=False,
            soft_wrap=True,
        )
        self._refresh()

    def _refresh(self) -> None:
        if self.bar.disable:
            return
        spent = self.budget.spent(self.study, self.journal)
        share, bill = self.budget.share(spent), self.budget.bill(spent)
        ended = len(self.study.trials) - len(self.study.running)
        parked = len(self.study.running) - len(self.live)
        counted = self.trials < math.inf
        now = [f"{ended}{f'/{self.trials:g}' if counted else ''} done", self._running()]
        if parked:
            now.append(f"{parked} parked")
        parts = []
        if bill is not None:
            parts.append(f"${bill:.2f}")
        if share is not None:
            parts.append(f"{share:.0%} spent")
        if self.best is not None:
            parts.append(f"best {self.metric.title} {self.metric.show(self.best)}")
        if (left := self._seconds_left(ended + parked)) is not None:
            parts.append(f"about {duration(left)} left")
        self.bar.update(
            self.task,
            completed=ended if counted else share or 0,
            text="\n".join(map(", ".join, filter(None, (now, parts)))),
        )

    def _running(self) -> str:
        """What costs money now."""
        running = f"{len(self.live)} running"
        if self.count_nodes is None:
            return running
        if time.monotonic() > self.nodes_counted + NODES_SECONDS:
            self.nodes, self.nodes_counted = self.count_nodes(), time.monotonic()
        return f"{running} on {count(self.nodes, 'machine', 'machines')}"

    def _seconds_left(self, resting: int) -> float | None:
        """As if the trials to come, and those that run, went as far as those that ended or wait have come."""
        trained = self._epochs()
        epochs_here = trained - self.epochs_before
        if not epochs_here or self.trials == math.inf:
            return None
        running = sum(self.study.trials[number].trained for number in self.live)
        each = (trained - running) / resting if resting else self.budget.epochs
        epochs_left = max(0.0, (self.trials - resting) * each - running)
        return epochs_left * (time.monotonic() - self.started) / epochs_here

    def _epochs(self) -> float:
        """That the trials of this study have trained."""
        return self.budget.spent(self.study, self.journal).epochs - self.budget.before.epochs


def ranking_table(board: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> Table:
    """The leaderboard for a terminal of 80 columns. metrics: of the problem."""
    title = f"Ranking by {titled(board, by, metrics)}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    first = next(iter(metrics))
    shown = {heading: (name, 1) for heading, name in by.beside.items()}
    if board.decided_by != by.name:  # the last one makes room for what has decided
        shown = {**dict(list(shown.items())[:-1]), "loss": (board.decided_by, metrics[board.decided_by].digits)}
    shown["valid"] = first, metrics[first].digits
    sized = ["params"] if board.ranking[0].num_parameters is not None else []
    for heading in ("rank", "group", "trial", by.short, "95% interval", *shown, *sized):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in board.ranking:
        figures = (f"{entry.figures[name] or 0:.{digits}f}" for name, digits in shown.values())
        size = [f"{(entry.num_parameters or 0) / 1e6:.2f}M"] if sized else []
        cells = (entry.rank, entry.group, entry.trial, by.metric.show(entry.score), told_interval(by, entry), *figures)
        table.add_row(*map(str, cells), *size)
    return table
