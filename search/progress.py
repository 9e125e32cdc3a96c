"""What a person sees in the terminal while a search runs."""

import math
import time
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from search.study import Study, StudyTrial
from search.wording import METRIC_NAMES, describe, duration, plain


class TrialProgress:
    """A line for each trial that ends or waits at a rung and, on a terminal, a bar below: done, running, parked,
    best so far, time left."""

    def __init__(
        self,
        console: Console,
        study: Study,
        title: str,
        metric: str,
        trials: float,
        epochs: int,
        spent: Callable[[], float | None],
    ):
        """`trials` and `epochs` are what is expected: infinite where the budget alone ends the search; stopped trials
        train fewer epochs. `spent` is the share of the budget."""
        self.console, self.study, self.title, self.spent = console, study, title, spent
        self.metric, self.trials, self.epochs = METRIC_NAMES[metric], trials, epochs
        self.live: set[int] = set()
        self.epochs_before = self._epochs()  # trained before this driver started
        self.started = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
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

    def epoch_reported(self, trial: StudyTrial, report: dict[str, Any]) -> None:
        self._refresh()

    def trial_parked(self, trial: StudyTrial) -> None:
        self._print(trial, "parked")

    def trial_ended(self, trial: StudyTrial) -> None:
        self._print(trial, trial.outcome)

    def _print(self, trial: StudyTrial, outcome: str) -> None:
        self.live.discard(trial.number)
        score = f"{self.metric} {trial.scores[trial.epoch]:6.2f}" if trial.scores else " " * (len(self.metric) + 7)
        reason = f"  {escape(trial.attrs['message'])}" if "message" in trial.attrs else ""
        self.console.print(
            f"{self.title} {trial.number:3}  {outcome:9}  epoch {plain(trial.epochs):>2}  {score}  "
            f"[dim]{describe(trial.params)}[/dim]{reason}",
            highlight=False,
            soft_wrap=True,
        )
        self._refresh()

    def _refresh(self) -> None:
        ended = [trial for trial in self.study.trials.values() if not trial.running]
        parked = [trial for trial in self.study.trials.values() if trial.running and trial.number not in self.live]
        scores = [trial.scores[trial.epoch] for trial in self.study.trials.values() if trial.scores]
        best = (max if self.study.maximize else min)(scores, default=None)
        counted, spent = self.trials < math.inf, self.spent()
        text = f"{len(ended)}{f'/{self.trials:g}' if counted else ''} done, {len(self.live)} running"
        if parked:
            text += f", {len(parked)} parked"
        if spent is not None:
            text += f", {spent:.0%} of the budget spent"
        if best is not None:
            text += f", best {self.metric} {best:.2f}"
        if (left := self._seconds_left(ended + parked)) is not None:
            text += f", about {duration(left)} left,"
        self.bar.update(self.task, completed=len(ended) if counted else spent or 0, text=text)

    def _seconds_left(self, resting: list[StudyTrial]) -> float | None:
        """As if the trials to come, and those that run, went as far as those that ended or wait have come."""
        epochs_here = self._epochs() - self.epochs_before
        if not epochs_here or self.trials == math.inf:
            return None
        each = sum(trial.trained for trial in resting) / len(resting) if resting else self.epochs
        running = sum(self.study.trials[number].trained for number in self.live)
        epochs_left = max(0.0, (self.trials - len(resting)) * each - running)
        return epochs_left * (time.monotonic() - self.started) / epochs_here

    def _epochs(self) -> float:
        return sum(trial.trained for trial in self.study.trials.values())


def ranking_table(ranking: list[dict[str, Any]]) -> Table:
    """The leaderboard for a terminal of 80 columns."""
    table = Table(title="Ranking by test BLEU", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("rank", "group", "trial", "BLEU", "95% interval", "chrF++", "sent.BLEU", "valid", "params"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in ranking:
        low, high = entry["test_bleu_ci"]
        table.add_row(
            str(entry["rank"]),
            str(entry["group"]),
            str(entry["trial"]),
            f"{entry['test_bleu']:.2f}",
            f"{low:.1f}–{high:.1f}",
            f"{entry['test_chrf']:.1f}",
            f"{entry['test_sentence_bleu']:.1f}",
            f"{entry['valid_bleu']:.2f}",
            f"{entry['num_parameters'] / 1e6:.2f}M",
        )
    return table
