"""How much is left of a search: counted by hand where nobody is stopped, and told well enough where some are."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reports import line_of

from search.engine.proposals import Plan, SearchPlan, expected_trials, make_budget, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.finals.choosing import FinalsPlan, choose_finalists
from search.planning.made_up import Curves, DrawnPlan, JournalInMemory, NoCheckpoints, VirtualStudy
from search.planning.own_models import MODELS
from search.planning.pace import Pace
from search.planning.playing_on import MOST_TRIALS, normal_scores
from search.planning.seen import REPORT_SECONDS, WORKERS_SECONDS, Trials
from search.planning.speeds import Speeds
from search.planning.time_left import TimeLeft
from search.planning.virtual_time import play
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport

SAME_WORK: dict[str, Any] = {"training.learning_rate": {"min": 0.001, "max": 0.01}}
SIZES: dict[str, Any] = {"model.d_model": {"values": [64, 96, 128]}, "model.encoder_layers": {"min": 1, "max": 2}}
EPOCHS = 8


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate({"space": SAME_WORK, "training": {"epochs": EPOCHS}, **changes})


class Search:
    """A search in memory, under a clock of its own; each epoch takes ten seconds."""

    def __init__(self, asked: Experiment, slots: int = 1):
        self.experiment, self.now = asked, 100.0
        self.study, self.journal = VirtualStudy(asked.search.direction), JournalInMemory()
        self.plan: Plan = SearchPlan(asked)
        budget = make_budget(asked, slots, 0.0)
        expected = expected_trials(asked, make_scheduler(asked))
        self.trials = Trials("trial", self.study, self.journal, self.plan, budget, expected)
        self.left = TimeLeft(asked, slots, lambda: self.now)
        self.left.begin(self.trials)

    def start(self) -> StudyTrial:
        proposal = self.plan.propose(self.study)
        assert proposal
        trial = self.study.add(proposal.params, self.plan.distributions)
        self.left.trial_started(trial)
        return trial

    def report(self, trial: StudyTrial, score: float = 1.0, seconds: float = 10.0) -> None:
        self.now += seconds
        line = line_of(trial.number, trial.progress + 1, train_seconds=seconds)
        self.journal.append(line)
        self.study.report(trial, trial.progress + 1, score)
        self.left.trial_reported(trial, line)

    def end(self, trial: StudyTrial) -> None:
        self.study.finish(trial, Outcome.COMPLETED)
        self.left.trial_ended(trial)


NOBODY_STOPS: dict[str, Any] = {"scheduler": "none", "trials": 5, "sampler": "random"}


def test_where_nobody_is_stopped_the_time_left_can_be_counted_by_hand() -> None:
    search = Search(experiment(search=NOBODY_STOPS, finals={"top": 2, "seeds": 2}))
    trial = search.start()
    assert search.left.left is None, "nothing has said how long an epoch takes"
    search.report(trial)
    left = search.left.left
    assert left and left.epochs == 5 * EPOCHS - 1 + 2 * 2 * EPOCHS
    assert left.seconds == pytest.approx(10 * left.epochs + REPORT_SECONDS, abs=1), "the worker started in no time"
    search.now += 4
    again = search.left.left
    assert again and again.seconds == pytest.approx(left.seconds - 4, abs=1), "time passes between reports, too"


def test_the_time_of_an_epoch_that_runs_counts_and_slots_share_the_work() -> None:
    search = Search(experiment(search=NOBODY_STOPS | {"trials": 4}, finals={"top": 2, "seeds": 1}), slots=2)
    first, second = search.start(), search.start()
    search.report(first, seconds=10)
    search.report(second, seconds=5)  # it took 5 s, while the other has run for 5 s of its next epoch
    left = search.left.left
    assert left and left.epochs == 4 * EPOCHS - 2 + 2 * EPOCHS
    assert 0.5 * 5 * left.epochs < left.seconds - REPORT_SECONDS < 0.5 * 10 * left.epochs + WORKERS_SECONDS


def test_a_resumed_search_knows_the_pace_of_earlier_drivers() -> None:
    asked = experiment(search=NOBODY_STOPS, finals={"top": 1, "seeds": 1})
    before = Search(asked)
    for _ in range(2):
        trial = before.start()
        for _ in range(EPOCHS):
            before.report(trial)
        before.end(trial)
    resumed = TimeLeft(asked, 1, lambda: 5000.0)
    resumed.begin(before.trials)
    left = resumed.left
    assert left and left.epochs == 3 * EPOCHS + EPOCHS
    assert left.seconds == pytest.approx(10 * left.epochs + 1.4 * WORKERS_SECONDS + REPORT_SECONDS, rel=0.01)


def test_a_limit_ends_it_earlier() -> None:
    budget = {"epochs": 3 * EPOCHS}
    search = Search(experiment(search=NOBODY_STOPS | {"budget": budget}, finals={"top": 1, "seeds": 1}))
    search.report(search.start())
    left = search.left.left
    assert left and left.epochs == 3 * EPOCHS - 1, "two trials, and one of the finals"
    timed = NOBODY_STOPS | {"trials": None, "budget": {"wall_hours": 300 / 3600}}
    search = Search(experiment(search=timed, finals={"top": 1, "seeds": 1}))
    search.report(search.start())
    search.study.wall_seconds = 10.0
    search.left._again = 0
    left = search.left.left
    assert left and 290 - 10 * EPOCHS < left.seconds <= 290 + REPORT_SECONDS


def test_the_finals_are_counted_and_then_their_tests() -> None:
    asked = experiment(search=NOBODY_STOPS | {"trials": 2}, finals={"top": 2, "seeds": 1})
    search = Search(asked)
    for score in (1.0, 2.0):
        trial = search.start()
        for _ in range(EPOCHS):
            search.report(trial, score)
        search.end(trial)
    search.plan = FinalsPlan(asked, choose_finalists(search.study, asked).finalists)
    search.study, search.journal = VirtualStudy("maximize"), JournalInMemory()
    search.left.begin(Trials("final", search.study, search.journal, search.plan, search.trials.budget, 2))
    left = search.left.left
    assert left and left.epochs == 2 * EPOCHS
    trial = search.start()
    search.report(trial)
    search.left._again = 0
    left = search.left.left
    assert left and left.epochs == 2 * EPOCHS - 1
    assert left.seconds == pytest.approx(10 * left.epochs + REPORT_SECONDS, abs=1)


def test_reports_by_steps_count_as_parts_of_epochs() -> None:
    training = {"epochs": 0.5, "report_steps": 10}
    search = Search(experiment(search=NOBODY_STOPS, finals={"top": 1, "seeds": 1}, training=training))
    trial = search.start()
    line = line_of(trial.number, 0.1, step=10, train_seconds=10.0)  # of 100 an epoch
    search.study.set_attributes(trial, replace(trial.attributes, epoch_steps=100))
    search.journal.append(line)
    search.study.report(trial, 10, 1.0)
    search.now += 10
    search.left.trial_reported(trial, line)
    left = search.left.left
    assert left and left.epochs == pytest.approx(6 * 0.5 - 0.1)
    assert left.seconds == pytest.approx(29 * 10 + REPORT_SECONDS, abs=1)


def test_a_search_longer_than_is_played_counts_in_proportion() -> None:
    asked = experiment(
        search=NOBODY_STOPS | {"trials": 3 * MOST_TRIALS}, training={"epochs": 1}, finals={"top": 1, "seeds": 1}
    )
    search = Search(asked)
    trial = search.start()
    search.report(trial)
    search.end(trial)
    left = search.left.left
    assert left and left.epochs == pytest.approx(3 * MOST_TRIALS)


def test_an_estimate_leaves_the_log_and_the_search_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    search = Search(experiment(search=NOBODY_STOPS))
    caplog.set_level(logging.INFO, "babeltune.work")
    trial = search.start()
    for _ in range(EPOCHS):  # after the last report nobody has ended it yet, as when a listener is told of that
        search.report(trial)
    assert search.left.left and not caplog.records
    assert trial.running and len(search.study.trials) == 1 and len(search.journal.lines) == EPOCHS


def test_an_estimate_that_fails_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(experiment(search=NOBODY_STOPS))
    search.report(search.start())
    monkeypatch.setattr("search.planning.time_left.play_on", lambda *_: 1 / 0)
    assert search.left.left is None and search.left.left is None


def test_the_pace_follows_the_work_and_what_a_trial_took_itself() -> None:
    pace = Pace()
    pace.see("a", 1.0, 10.0)
    assert pace.seconds(1.0) == pytest.approx(10) and 15 < pace.seconds(2.0) < 20, (
        "the usual power, before more is seen"
    )
    for work, seconds in ((1.0, 10.0), (4.0, 40.0), (16.0, 160.0)):
        for _ in range(4):
            pace.see(work, work, seconds)
    assert pace.seconds(8.0) == pytest.approx(80, rel=0.1)
    for _ in range(8):
        pace.see("odd", 4.0, 80.0)
    assert 70 < pace.seconds(4.0, "odd") < 80 and pace.seconds(4.0) < 60


def test_survivors_keep_the_order_of_their_scores_and_their_distance_from_the_rest() -> None:
    study = Study(None, "s", "maximize")
    for number in range(5):
        trial = study.add({}, {})
        study.report(trial, 1, float(number))
    for number, score in ((3, 9.0), (4, 8.0)):
        study.report(study.trials[number], 2, score)
    found = normal_scores(study)
    assert [found[number][1] for number in range(5)] == sorted(found[number][1] for number in range(5))
    assert found[2][1] == pytest.approx(0)
    assert (found[3][2], found[4][2]) == (found[4][1], found[3][1]), "the same two values, in the order of now"


class Watched:
    """A whole search on made-up curves, in virtual time, in which the time left is asked for at times."""

    def __init__(self, asked: Experiment, slots: int, seed: int):
        curves, speeds = Curves(asked.trial, seed, MODELS), Speeds.by_work(MODELS)
        unit = speeds.of(asked.trial).train / 10
        plan = DrawnPlan(asked, curves, 300, seed)
        study, journal = VirtualStudy(asked.search.direction), JournalInMemory()
        budget = make_budget(asked, slots, 0.0)
        scheduler = make_scheduler(asked)
        left = TimeLeft(asked, slots, lambda: study.wall_seconds)
        left.begin(Trials("trial", study, journal, plan, budget, expected_trials(asked, scheduler)))
        records = Records(study, journal, NoCheckpoints(Path()))
        work = Work(asked, records, Rules(plan, scheduler, [budget]), [left])
        self.told: list[tuple[float, float]] = []  # when, and seconds left

        def report(trial: StudyTrial) -> EpochReport:
            config = plan.config(trial.params)
            score = curves.score(config, (trial.progress + 1) / EPOCHS)
            figures = {"valid_bleu": score, "valid_nll_per_char": 5 - score / 10}
            seconds = speeds.of(config).train / unit
            return EpochReport(trial.progress + 1, trial.progress + 1, figures, train_seconds=seconds, eval_seconds=0.0)

        def look() -> None:
            if len(journal.lines) % 8:
                return
            left._again = 0
            now = left.left
            assert now
            self.told.append((study.wall_seconds, now.seconds))

        seconds = play(work, slots, report, look=look)
        chosen = choose_finalists(study, asked).finalists
        each = [EPOCHS * speeds.of(plan.config(finalist.params)).train / unit for finalist in chosen]
        assert len(each) <= slots
        self.end = seconds + max(each) + REPORT_SECONDS

    def ratio(self, share: float) -> float:
        at, told = min(self.told, key=lambda told: abs(told[0] - share * self.end))
        return told / (self.end - at)


@pytest.mark.parametrize("scheduler", list(SCHEDULERS))
def test_from_a_quarter_on_it_is_near_the_truth_under_every_scheduler(scheduler: str) -> None:
    breeds = SCHEDULERS.read(scheduler).breeds  # a population has one size
    space = {"model.dropout": {"min": 0.0, "max": 0.5}} if breeds else SIZES | SAME_WORK
    search = {"scheduler": scheduler, "trials": 16, "sampler": "random"}
    watched = Watched(experiment(space=space, search=search, finals={"top": 2, "seeds": 1}), slots=2, seed=0)
    for share in (0.25, 0.5, 0.75):
        assert 0.6 < watched.ratio(share) < 1.6, f"at {share:.0%}"
