"""What a person sees in the terminal while trials or finals run."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.settings.wording import clock, count, describe, duration, plain
from trainables.base.log import logger
from trainables.base.outcomes import Outcome
from trainables.base.wording import amount

NODES_SECONDS = 5.0  # after which the nodes of a cluster are counted again
LINE_SECONDS = 60.0  # between lines on how things stand, in the log and where there is no terminal
MOST_SHOWN = 8  # trials in training, each on a line of its own
BAR = 12  # columns
PHASES = {"trial": "search", "final": "finals"}


@dataclass(frozen=True)
class Shown:
    """How things stood at a moment, in words."""

    at: float  # by the clock
    done: float  # epochs of search and finals
    total: float | None  # that are expected; None before that is known
    seconds_left: float | None
    trials: str  # how many are done, running, parked; the best, and what was spent
    running: tuple[str, ...]  # a line for each trial in training


class TrialProgress:
    """A line for each trial that ends or waits at a rung and, on a terminal, below them what goes on now.

    Without a terminal a line says at most once a minute how things stand, after a report.
    """

    def __init__(self, console: Console, trials: Trials, left: TimeLeft, count_nodes: Callable[[], int] | None = None):
        """Begin with what the study holds.

        left: says how much is left. count_nodes: says how many machines of a cluster can take trials now.
        """
        self.console, self.trials, self.left = console, trials, left
        left.begin(trials)
        self.study, self.budget = trials.study, trials.budget
        self.metric = left.seen.experiment.search.compared_by
        self.epochs = left.seen.experiment.training.epochs
        self.count_nodes, self.nodes, self.nodes_counted = count_nodes, 0, -math.inf
        self.live: dict[int, StudyTrial] = {}
        self.parked: dict[int, int] = {}  # trials that were told to wait, and their progress then
        scores = [(trial.scores[trial.progress], trial.number) for trial in self.study.trials.values() if trial.scores]
        self.best = max(scores, key=lambda score: self.metric.worth(score[0]), default=None)
        self.new_best: int | None = None  # the trial, until that was told
        self.on_terminal = console.is_terminal and not console.is_dumb_terminal and not console.quiet
        self.line_told = -math.inf
        self.shown = Shown(left.clock(), 0, None, None, "", ())
        self.display = Live(
            get_renderable=self._draw, console=console, transient=True, refresh_per_second=2, vertical_overflow="crop"
        )

    def __enter__(self) -> "TrialProgress":
        self._look()
        if self.on_terminal:
            self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.stop()

    # -- as `Listener` says

    def trial_started(self, trial: StudyTrial) -> None:
        self.left.trial_started(trial)
        self.live[trial.number] = trial
        self._look()

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        self.left.trial_reported(trial, line)
        score = trial.scores[trial.progress]
        if self.best is None or self.metric.worth(score) > self.metric.worth(self.best[0]):
            self.best, self.new_best = (score, trial.number), trial.number
        self._look()
        now = self.left.clock()
        if not self.console.quiet and now >= self.line_told + LINE_SECONDS:
            self.line_told = now
            logger.info(self._in_a_line())  # `babeltune status` reads it
            if not self.on_terminal:
                self.console.print(self._in_a_line(), highlight=False, markup=False, soft_wrap=True)

    def trial_parked(self, trial: StudyTrial) -> None:
        self.left.trial_parked(trial)
        self.parked[trial.number] = trial.progress
        self._tell(trial, "parked")

    def trial_ended(self, trial: StudyTrial) -> None:
        self.left.trial_ended(trial)
        if trial.outcome != Outcome.STOPPED or self.parked.get(trial.number) != trial.progress:
            self._tell(trial, trial.outcome)
        else:
            self._look()

    # -- what is shown

    def _tell(self, trial: StudyTrial, outcome: str) -> None:
        """A line on a trial that is trained no longer."""
        self.live.pop(trial.number, None)
        line = Text(f"{self.trials.kind} {trial.number:3}  {outcome:9}  epoch {plain(trial.epochs):>2}  ")
        line.append(f"{self._score(trial):{len(self.metric.title) + 7}}")
        if trial.number == self.new_best and self.best and self.best[0] == trial.scores.get(trial.progress):
            line.append("  new best", "green")
            self.new_best = None
        line.append(f"  {describe(trial.params)}", "dim")
        if trial.attributes.message:
            line.append(f"  {trial.attributes.message}")
        self._look()
        if self.on_terminal:
            self.console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self.console.print(line, soft_wrap=True)

    def _score(self, trial: StudyTrial) -> str:
        return f"{self.metric.title} {self.metric.show(trial.scores[trial.progress]):>6}" if trial.scores else ""

    def standing(self) -> tuple[str, tuple[str, ...]]:
        """How things stand in a line, and a line for each trial in training; also where the terminal says nothing."""
        if self.console.quiet:
            self._count()
        return self._in_a_line(), self.shown.running

    def _look(self) -> None:
        if not self.console.quiet:
            self._count()

    def _count(self) -> None:
        """Put into words how things stand, in the thread that changes them; `_draw` is called by another."""
        spent, left = self.budget.spent(self.study, self.trials.journal), self.left.left
        ended = len(self.study.trials) - len(self.study.running)
        parked = len(self.study.running) - len(self.live)
        kind, expected = self.trials.kind, self.trials.expected
        done = count(ended, kind, f"{kind}s") if expected == math.inf else f"{ended}/{expected:g} {kind}s"
        parts = [f"{done} done", self._running()]
        parts += [f"{parked} parked"] if parked else []
        if self.best is not None:
            parts.append(f"best {self.metric.title} {self.metric.show(self.best[0])} ({self._name(self.best[1])})")
        if (bill := self.budget.bill(spent)) is not None:
            parts.append(f"${bill:.2f}")
        if (share := self.budget.share(spent)) is not None:
            parts.append(f"{share:.0%} spent")
        self.shown = Shown(
            at=self.left.clock(),
            done=spent.epochs,
            total=spent.epochs + left.epochs if left else None,
            seconds_left=left.seconds if left else None,
            trials=", ".join(parts),
            running=self._lines(),
        )

    def _name(self, number: int) -> str:
        return f"{self.trials.kind} {number}"

    def _lines(self) -> tuple[str, ...]:
        lines = []
        for number, trial in list(self.live.items())[:MOST_SHOWN]:
            score = f"{self._score(trial)}{', the best' if self.best and self.best[1] == number else ''}  "
            lines.append(
                f"{self.trials.kind} {number:3}  {plain(trial.epochs):>2} of {plain(self.epochs)} epochs  "
                f"{score if trial.scores else ''}{describe(trial.params)}"
            )
        more = len(self.live) - len(lines)
        return (*lines, f"and {more} more") if more else tuple(lines)

    def _running(self) -> str:
        """What costs money now."""
        running = f"{len(self.live)} running"
        if self.count_nodes is None:
            return running
        if time.monotonic() > self.nodes_counted + NODES_SECONDS:
            self.nodes, self.nodes_counted = self.count_nodes(), time.monotonic()
        return f"{running} on {count(self.nodes, 'machine', 'machines')}"

    def _how_far(self) -> str:
        shown = self.shown
        if shown.total is None or shown.seconds_left is None:
            return f"{plain(shown.done)} epochs"
        left = max(0.0, shown.seconds_left - (self.left.clock() - shown.at))
        return f"{plain(shown.done)} of about {amount(shown.total)} epochs, about {duration(left)} left"

    def _in_a_line(self) -> str:
        return f"{PHASES[self.trials.kind]}: {self._how_far()}; {self.shown.trials}"

    def _draw(self) -> Group:
        shown, head = self.shown, Table.grid(padding=(0, 1))
        bar = ProgressBar(shown.total or 1, shown.done if shown.total else 0, width=BAR)
        elapsed = clock(self.left.clock() - self.left.started)
        head.add_row(PHASES[self.trials.kind], bar, _fitting(f"{elapsed}, {self._how_far()}"))
        return Group(head, *(_fitting(line) for line in (shown.trials, *shown.running)))


def _fitting(line: str) -> Text:
    return Text(line, no_wrap=True, overflow="ellipsis")
