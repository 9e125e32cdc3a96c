"""What the terminal says while a search runs, and of its ranking."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from boards import TEST_BLEU, board, entry
from recording import as_it_stays
from reports import line_of
from rich.console import Console
from test_work import budget_of

from search.driver.progress import TrialProgress
from search.driver.ranking_table import ranking_table
from search.engine.proposals import SearchPlan
from search.planning.seen import Trials
from search.planning.time_left import TimeLeft
from search.record.budget import Spent
from search.record.journal import Journal
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import clock, count, describe, duration, noun, plain, short_name, short_value
from search.translation.problem import TRANSLATION
from trainables.base.log import say, shown_on
from trainables.base.outcomes import Outcome

METRICS = TRANSLATION.metrics


class Search:
    """A study and its journal, into which trials report; each epoch takes 36 s of its device."""

    def __init__(self, folder: Path, width: int = 80, terminal: bool = True, trials: float = 6, **search: Any):
        asked = {"scheduler": "none", "trials": None if math.isinf(trials) else trials, **search}
        space = {"model.d_model": {"values": [16, 32, 64]}, "training.learning_rate": {"min": 0.001, "max": 0.01}}
        finals = {"top": 2, "seeds": 1}
        self.experiment = Experiment.model_validate(
            {"training": {"epochs": 4}, "space": space, "search": asked, "finals": finals}
        )
        self.study = Study(None, "s", self.experiment.search.direction)
        self.journal, self.plan = Journal(folder / "trials.jsonl"), SearchPlan(self.experiment)
        budget = budget_of(self.experiment, before=Spent(epochs=9))  # by another study of the run
        self.trials = Trials("trial", self.study, self.journal, self.plan, budget, trials)
        self.said, self.now = StringIO(), 1000.0
        self.console = Console(
            file=self.said, force_terminal=terminal, width=width if terminal else None, color_system=None
        )

    def progress(self, count_nodes: Callable[[], int] | None = None) -> TrialProgress:
        """As one driver shows it."""
        left = TimeLeft(self.experiment, 1, lambda: self.now)
        return TrialProgress(self.console, self.trials, left, count_nodes)

    def start(self, *listeners: TrialProgress) -> StudyTrial:
        proposal = self.plan.propose(self.study)
        trial = self.study.add(proposal.params if proposal else {}, self.plan.distributions)
        for listener in listeners:
            listener.trial_started(trial)
        return trial

    def train(self, trial: StudyTrial, *scores: float, to: TrialProgress | None = None) -> None:
        for score in scores:
            epoch = trial.progress + 1
            line = line_of(trial.number, epoch, train_seconds=30.0, eval_seconds=6.0)
            self.journal.append(line)
            self.study.report(trial, epoch, score)
            self.now += 36
            if to:
                to.left._again = 0
                to.trial_reported(trial, line)

    def end(self, trial: StudyTrial, outcome: str, *listeners: TrialProgress, message: str = "") -> None:
        self.study.finish(trial, Outcome(outcome), message)
        for listener in listeners:
            listener.trial_ended(trial)

    def lines(self) -> list[str]:
        """What was printed since the last call."""
        said = self.said.getvalue().splitlines()
        self.said.truncate(0)
        self.said.seek(0)
        return said


def drawn(progress: TrialProgress) -> list[str]:
    """What stands below the lines on a terminal."""
    console = Console(file=StringIO(), force_terminal=True, width=progress.console.width, color_system=None)
    with console.capture() as captured:
        console.print(progress._draw())
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_has_a_bar_and_a_line_for_each_trial_in_training_that_fit_it(width: int, tmp_path: Path) -> None:
    search = Search(tmp_path, width)
    progress = search.progress()
    first, second = search.start(progress), search.start(progress)
    assert "0:00:00, 9 epochs" in drawn(progress)[0], "nothing is known of its pace"
    search.train(first, 5.0, 6.5, to=progress)
    head, counts, *running = drawn(progress)
    assert all(len(line) <= width for line in (head, counts, *running)) and len(running) == 2
    assert head.startswith("search ━━━") and "11 of about 41 epochs"[: width - 35] in head
    if width == 120:
        assert re.search(r"0:01:12, 11 of about 41 epochs, about [89] min left", head), "two at a time"
        assert counts == "0/6 trials done, 2 running, best valid BLEU 6.50 (trial 0)"
        assert running[0].startswith("trial   0   2 of 4 epochs  valid BLEU   6.50, the best  d_model=")
        assert running[1].startswith("trial   1   0 of 4 epochs  d_model=")
    search.end(first, "completed", progress)
    search.end(second, "diverged", progress, message="the loss became [nan], which is a long story" * 3)
    best, long = search.lines()
    assert len(best) <= width and len(long) == width and long.endswith("…")
    assert "new best"[: max(0, width - 50)] in best


def test_what_is_drawn_goes_and_the_lines_of_trials_stay(tmp_path: Path) -> None:
    search = Search(tmp_path)
    progress = search.progress()
    ended = search.start()
    search.train(ended, 1.0)
    search.end(ended, "completed", progress)  # as a driver finds it, before anything is drawn
    with progress:
        trial = search.start(progress)
        for score in (5.0, 6.5):
            search.train(trial, score, to=progress)
            progress.display.refresh()
        assert "about" in as_it_stays(search.said.getvalue()).splitlines()[1]
        search.end(trial, "completed", progress)
    assert [line.split()[:3] for line in as_it_stays(search.said.getvalue()).splitlines()] == [
        ["trial", "0", "completed"],
        ["trial", "1", "completed"],
    ]


def test_between_reports_the_time_left_goes_down(tmp_path: Path) -> None:
    search = Search(tmp_path, width=120)
    progress = search.progress()
    search.train(search.start(progress), 1.0, to=progress)
    found = []
    for _ in range(2):
        told = re.search(r"about (\d+) min left", drawn(progress)[0])
        assert told
        found.append(int(told[1]))
        search.now += 600
    assert found[0] - found[1] == 10


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_said_breaks_between_words_on_a_terminal_alone(terminal: bool) -> None:
    said, text = StringIO(), "a run of [some] /a/path/that/is/longer/than/that is there"
    with shown_on(Console(file=said, force_terminal=terminal, width=20, color_system=None)):
        say(text)
    first, *rest = said.getvalue().splitlines()
    assert first.rstrip() == ("a run of [some]" if terminal else text)
    assert said.getvalue().split() == text.split() and bool(rest) == terminal


def test_many_trials_at_a_time_leave_room_on_the_screen(tmp_path: Path) -> None:
    search = Search(tmp_path)
    progress = search.progress()
    for _ in range(12):
        progress.trial_started(search.study.add({}, {}))
    assert len(drawn(progress)) == 2 + 8 + 1 and drawn(progress)[-1].strip() == "and 4 more"


def test_a_trial_that_waited_is_told_once(tmp_path: Path) -> None:
    search = Search(tmp_path)
    progress = search.progress()
    waits, goes_on = search.start(progress), search.start(progress)
    for trial in (waits, goes_on):
        search.train(trial, 1.0, to=progress)
        progress.trial_parked(trial)
    assert [line.split()[2] for line in search.lines()] == ["parked", "parked"]
    assert "0/6 trials done, 0 running, 2 parked" in drawn(progress)[1]
    progress.trial_started(goes_on)
    search.train(goes_on, 2.0, to=progress)
    search.end(waits, "stopped", progress, message="the budget is used up")
    search.end(goes_on, "stopped", progress)
    (line,) = search.lines()
    assert line.split()[:3] == ["trial", "1", "stopped"], "it has trained since it was told to wait"
    assert "2/6 trials done, 0 running, best" in drawn(progress)[1]


def test_without_a_terminal_there_is_a_line_a_minute_and_nothing_is_drawn_again(tmp_path: Path) -> None:
    search = Search(tmp_path, terminal=False)
    with search.progress() as progress:
        trial = search.start(progress)
        search.train(trial, 1.0, to=progress)
        (line,) = search.lines()
        assert re.fullmatch(
            r"search: 10 of about 41 epochs, about \d+ min left; 0/6 trials done, 1 running, best valid BLEU 1\.00 "
            r"\(trial 0\)",
            line,
        )
        search.train(trial, 2.0, to=progress)
        assert search.lines() == [], "36 seconds later"
        search.train(trial, 3.0, to=progress)
        assert len(search.lines()) == 1
        search.train(trial, 4.0, to=progress)
        search.end(trial, "completed", progress, message="long " * 60)
    said = search.said.getvalue()
    assert len(said.splitlines()) == 1 and len(said) > 300, "a line is never cut"
    assert "\r" not in said and "\x1b" not in said


def test_quiet_means_that_nothing_is_counted_nor_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "babeltune")
    search = Search(tmp_path)
    search.console = Console(quiet=True)
    monkeypatch.setattr("search.planning.time_left.play_on", lambda *_: pytest.fail("an estimate nobody sees"))
    with search.progress() as progress:
        search.train(search.start(progress), 1.0, to=progress)
    assert "epochs" not in caplog.text, "`status` would tell what was not counted"


@pytest.mark.parametrize("quiet", [True, False])
def test_how_things_stand_is_said_to_who_asks(quiet: bool, tmp_path: Path) -> None:
    """Such as the report of a search that runs, also where the terminal says nothing."""
    search = Search(tmp_path)
    search.console = Console(quiet=quiet, file=StringIO())
    with search.progress() as progress:
        first, second = search.start(progress), search.start(progress)
        search.train(first, 1.0, 4.0, to=progress)
        search.end(first, "completed", progress)
        search.train(second, 3.0, to=progress)
        line, running = progress.standing()
    assert line.startswith("search: 12 of about ") and " left; 1/6 trials done, 1 running, best valid BLEU 4.00" in line
    assert [each.split(" epochs")[0] for each in running] == ["trial   1   1 of 4"]


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("valid_bleu", ["4.00", "4.00", "6.00"]),
        ("valid_loss", ["3.0000", "2.0000", "2.0000"]),
        ("valid_nll_per_char", ["3.0000", "2.0000", "2.0000"]),
    ],
)
def test_the_best_is_that_after_any_epoch_of_any_driver(metric: str, best: list[str], tmp_path: Path) -> None:
    search = Search(tmp_path, width=120, metric=metric)
    for scores in ((9.0, 4.0), (1.0, 3.0)):  # before a resume each counts by its last
        trial = search.start()
        search.train(trial, *scores)
        search.end(trial, "stopped")
    progress = search.progress()
    trial = search.start(progress)
    seen = [progress.shown.trials]
    for score in (2.0, 6.0):
        search.train(trial, score, to=progress)
        seen.append(progress.shown.trials)
    for told, value in zip(seen, best, strict=True):
        assert f"best {METRICS[metric].title} {value} (trial " in told


def test_what_was_spent_is_shown_in_dollars_and_as_a_share(tmp_path: Path) -> None:
    search = Search(tmp_path, width=200, trials=math.inf, budget={"epochs": 30, "price_per_gpu_hour": 2.5})
    machines = iter((3, 2, 1))
    progress = search.progress(count_nodes=lambda: next(machines))
    trial = search.start(progress)
    progress.nodes_counted = math.inf
    search.train(trial, 1.0, 2.0, to=progress)
    assert drawn(progress)[1] == (
        "0 trials done, 1 running on 3 machines, best valid BLEU 2.00 (trial 0), $0.05, 37% spent"
    )
    progress.nodes_counted = -math.inf
    search.end(trial, "diverged", progress, message="the loss became [nan]")
    assert drawn(progress)[1].startswith("1 trial done, 0 running on 2 machines"), "counted again after some seconds"
    (line,) = search.lines()
    assert re.fullmatch(
        r"trial +0 +diverged +epoch +2 +valid BLEU +2\.00  new best  d_model.*the loss became \[nan\]", line
    )


def test_the_table_has_the_numbers_of_the_leaderboard() -> None:
    ranked = board(entry(1, 4, 30.0, 1, {}), entry(2, 9, 28.5, 2, {}))
    for decided_by, beside in (("test_bleu", ["29.0", "27.5"]), ("valid_nll_per_char", ["0.5000", "1.0000"])):
        table = ranking_table(replace(ranked, decided_by=decided_by), TEST_BLEU, [], METRICS)
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


def test_a_clock_counts_hours_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 60, 3725)] == ["0:00:00", "0:00:59", "0:01:00", "1:02:05"]


def test_numbers_and_names_are_told_as_people_write_them() -> None:
    assert [plain(n) for n in (4, 4.0, 2.3333, 0.5, 12345)] == ["4", "4", "2.33", "0.5", "12345"]
    assert [short_value(v) for v in (0.00123456, 1e-05, 12345, True, "relu")] == [
        *("0.00123", "1e-05", "12345", "True", "relu")
    ]
    assert [count(n, "seed", "seeds") for n in (0, 1, 2, 1234)] == ["0 seeds", "1 seed", "2 seeds", "1,234 seeds"]
    assert [noun(n) for n in ("encoder_layers", "num_heads")] == ["encoder layer", "head"]
    assert short_name("model.d_model") == "d_model" and short_name("seed") == "seed"
    assert describe({"model.d_model": 256, "training.learning_rate": 0.00123456}) == "d_model=256 learning_rate=0.00123"
