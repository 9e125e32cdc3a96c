"""What the terminal says while a search runs, and of its ranking."""

import math
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import pytest
from boards import board, entry
from reports import line_of
from rich.console import Console
from test_work import budget_of

from search.driver.progress import TrialProgress, ranking_table
from search.record.budget import Spent
from search.record.journal import Journal
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import count, describe, duration, noun, plain, short_name, short_value
from search.translation.finals import FINALS
from search.translation.problem import TRANSLATION
from trainables.base.outcomes import Outcome


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


METRICS = TRANSLATION.metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("search.driver.progress.time", clock)
    return clock


class Search:
    """A study and its journal, into which trials report; each epoch takes 36 s of its device."""

    def __init__(self, folder: Path, direction: Literal["maximize", "minimize"], **search: Any):
        self.experiment = Experiment.model_validate({"training": {"epochs": 4}, "search": search})
        self.study, self.journal = Study(None, "s", direction), Journal(folder / "trials.jsonl")
        self.said = StringIO()

    def progress(self, trials: float, metric: str = "valid_bleu", **more: Any) -> TrialProgress:
        """As one driver shows it."""
        console = Console(file=self.said, force_terminal=True, width=200, color_system=None)
        budget = budget_of(self.experiment, before=Spent(epochs=9))  # by another study of the run
        return TrialProgress(console, self.study, self.journal, budget, "trial", METRICS[metric], trials, **more)

    def start(self, *listeners: TrialProgress) -> StudyTrial:
        trial = self.study.add({}, {})
        for listener in listeners:
            listener.trial_started(trial)
        return trial

    def train(self, trial: StudyTrial, *scores: float, to: TrialProgress | None = None) -> None:
        for score in scores:
            epoch = trial.progress + 1
            line = line_of(trial.number, epoch, train_seconds=30.0, eval_seconds=6.0)
            self.journal.append(line)
            self.study.report(trial, epoch, score)
            if to:
                to.trial_reported(trial, line)

    def end(self, trial: StudyTrial, outcome: str, *listeners: TrialProgress, message: str = "") -> None:
        self.study.finish(trial, Outcome(outcome), message)
        for listener in listeners:
            listener.trial_ended(trial)


def shown(progress: TrialProgress) -> list[str]:
    return str(progress.bar.tasks[0].fields["text"]).split("\n")


def test_the_time_left_goes_by_the_pace_of_this_driver_alone(tmp_path: Path, clock: Clock) -> None:
    """After a resume, epochs that an earlier driver trained took none of this one's time."""
    search = Search(tmp_path, "maximize")
    for _ in range(3):  # by an earlier driver
        trial = search.start()
        search.train(trial, 1.0, 2.0, 3.0, 4.0)
        search.end(trial, "completed")
    progress = search.progress(trials=6)
    running = search.start(progress)
    assert "left" not in " ".join(shown(progress)), "nothing is known of its pace"
    clock.now += 200
    search.train(running, 5.0, 6.0, to=progress)
    # Two epochs in 200 s; three trials to come, of four epochs each, but for the two.
    assert shown(progress) == ["3/6 done, 1 running", "best valid BLEU 6.00, about 17 min left"]
    assert progress._seconds_left(3) == pytest.approx((3 * 4 - 2) * 100)
    clock.now += 100
    search.train(running, 7.0, 8.0, to=progress)
    search.end(running, "completed", progress)
    assert progress._seconds_left(4) == pytest.approx(2 * 4 * 75)
    assert (progress.bar.tasks[0].completed, progress.bar.tasks[0].total) == (4, 6)
    assert search.progress(trials=math.inf)._seconds_left(4) is None


def test_trials_to_come_are_taken_for_as_long_as_those_that_ended_or_wait(tmp_path: Path, clock: Clock) -> None:
    search = Search(tmp_path, "maximize")
    progress = search.progress(trials=10)
    first = search.start(progress)
    clock.now += 10
    search.train(first, 1.0, to=progress)
    assert progress._seconds_left(0) == pytest.approx((10 * 4 - 1) * 10), "none has ended: as long as a whole one"
    search.end(first, "stopped", progress)
    second, third = search.start(progress), search.start(progress)
    clock.now += 50
    search.train(second, 1.0, 2.0, 3.0, to=progress)
    progress.trial_parked(second)
    search.train(third, 1.0, to=progress)
    # Two that rest have trained 4 epochs, 2 each; 5 epochs took 60 s.
    assert shown(progress)[0] == "1/10 done, 1 running, 1 parked"
    assert progress._seconds_left(2) == pytest.approx((8 * 2 - 1) * 12)


@pytest.mark.parametrize(
    ("direction", "metric", "best"),
    [
        ("maximize", "valid_bleu", ["4.00", "4.00", "6.00"]),
        ("minimize", "valid_loss", ["3.0000", "2.0000", "2.0000"]),
        ("minimize", "valid_nll_per_char", ["3.0000", "2.0000", "2.0000"]),
    ],
)
def test_the_best_is_that_after_any_epoch_of_any_driver(
    direction: Literal["maximize", "minimize"], metric: str, best: list[str], tmp_path: Path, clock: Clock
) -> None:
    search = Search(tmp_path, direction, metric=metric)
    for scores in ((9.0, 4.0), (1.0, 3.0)):  # before a resume each counts by its last
        trial = search.start()
        search.train(trial, *scores)
        search.end(trial, "stopped")
    progress = search.progress(math.inf, metric)
    trial = search.start(progress)
    seen = [shown(progress)[1]]
    for score in (2.0, 6.0):
        search.train(trial, score, to=progress)
        seen.append(shown(progress)[1])
    assert seen == [f"best {METRICS[metric].title} {value}" for value in best]


def test_what_was_spent_is_shown_in_dollars_and_as_a_share(tmp_path: Path, clock: Clock) -> None:
    search = Search(tmp_path, "maximize", budget={"epochs": 20, "price_per_gpu_hour": 2.5})
    machines = iter((3, 2, 1))
    progress = search.progress(math.inf, count_nodes=lambda: next(machines))
    trial = search.start(progress)
    search.train(trial, 1.0, 2.0, to=progress)
    assert shown(progress) == ["0 done, 1 running on 3 machines", "$0.05, 55% spent, best valid BLEU 2.00"]
    assert progress.bar.tasks[0].completed == pytest.approx(0.55) and progress.bar.tasks[0].total == 1
    clock.now += 6
    search.end(trial, "diverged", progress, message="the loss became [nan]")
    assert shown(progress)[0] == "1 done, 0 running on 2 machines", "counted again after some seconds"
    (line,) = search.said.getvalue().splitlines()
    assert re.fullmatch(r"trial +0 +diverged +epoch +2 +valid BLEU +2\.00 +the loss became \[nan\]", line)


def test_the_table_has_the_numbers_of_the_leaderboard() -> None:
    ranked = board(entry(1, 4, 30.0, 1, {}), entry(2, 9, 28.5, 2, {}))
    for decided_by, beside in (("test_bleu", ["29.0", "27.5"]), ("valid_nll_per_char", ["0.5000", "1.0000"])):
        table = ranking_table(replace(ranked, decided_by=decided_by), FINALS.metric, METRICS)
        cells = {str(column.header): list(column.cells) for column in table.columns}
        assert cells.pop("sent.BLEU" if decided_by == "test_bleu" else "loss") == beside
        assert cells == {
            "rank": ["1", "2"],
            "group": ["1", "2"],
            "trial": ["4", "9"],
            "BLEU": ["30.00", "28.50"],
            "95% interval": ["28.5–31.4", "27.0–29.9"],
            "chrF++": ["50.0", "50.0"],
            "valid": ["28.00", "26.50"],
            "params": ["1.00M", "0.50M"],
        }
    assert table.title == "Ranking by valid loss per character"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (149, "2 min"),
        (3600, "60 min"),
        (119 * 60, "119 min"),
        (120 * 60, "2 h 0 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_a_time_is_told_in_its_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_numbers_and_names_are_told_as_people_write_them() -> None:
    assert [plain(n) for n in (4, 4.0, 2.3333, 0.5, 12345)] == ["4", "4", "2.33", "0.5", "12345"]
    assert [short_value(v) for v in (0.00123456, 1e-05, 12345, True, "relu")] == [
        *("0.00123", "1e-05", "12345", "True", "relu")
    ]
    assert [count(n, "seed", "seeds") for n in (0, 1, 2, 1234)] == ["0 seeds", "1 seed", "2 seeds", "1,234 seeds"]
    assert [noun(n) for n in ("encoder_layers", "num_heads")] == ["encoder layer", "head"]
    assert short_name("model.d_model") == "d_model" and short_name("seed") == "seed"
    assert describe({"model.d_model": 256, "training.learning_rate": 0.00123456}) == "d_model=256 learning_rate=0.00123"
