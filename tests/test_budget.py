"""What a search may spend: counted, kept for the finals, and never exceeded."""

import math
import re
from dataclasses import astuple, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from reports import line_of, make_report
from test_work import budget_of, open_work, score, simulate

from search.cluster.slots import Slots
from search.driver.study_run import Trainer
from search.engine import work as working
from search.engine.work import FINISHED, Work
from search.record.budget import UNITS, Budget, BudgetConfig, Spent, spent_on
from search.record.journal import Journal, Totals
from search.record.study import Study
from search.settings.experiment import Experiment
from trainables.base.outcomes import Outcome

SPACE = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}


def experiment(budget: dict[str, Any], trials: int | None = None, **changes: Any) -> Experiment:
    rungs = {"scheduler": {"rungs": [1, 2], "reduction_factor": 2}}
    search = {"trials": trials, "budget": budget, **changes.pop("search", rungs)}
    return Experiment.model_validate({"space": SPACE, "search": search, "training": {"epochs": 4}, **changes})


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("epochs", [28, 40, 43])
def test_epochs_are_never_exceeded_and_the_finals_keep_theirs(epochs: int, slots: int, tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment({"epochs": epochs}), slots)
    simulate(work, {}, slots)
    spent = spent_on(work.study, work.journal.totals).epochs
    assert spent == sum(trial.progress for trial in work.study.trials.values())
    assert epochs - 24 - 2 < spent <= epochs - 24, "3 finalists x 2 seeds x 4 epochs are kept; rungs are 2 epochs apart"
    assert not any(trial.running for trial in work.study.trials.values())
    said = str(work.study.ended)
    assert work.done and re.match(rf"search.budget.epochs {epochs} is used up: \d+ epochs spent, 24 kept", said)
    for trial in work.study.trials.values():
        assert trial.progress == 4 if trial.outcome == "completed" else trial.progress in (1, 2)


def test_inherited_epochs_cost_nothing_and_a_population_ends_with_its_budget(tmp_path: Path) -> None:
    space = {"model.dropout": {"min": 0.0, "max": 0.5}}
    for epochs, fits in ((30, 6), (60, 24)):  # 24 are for the finals, and 6 members need 4 each
        search = {"scheduler": "pbt", "sampler": "random", "trials": 6}
        work = open_work(tmp_path / str(epochs), experiment({"epochs": epochs}, search=search, space=space))
        simulate(work, {})
        spent = spent_on(work.study, work.journal.totals).epochs
        assert spent == sum(trial.trained for trial in work.study.trials.values())
        assert spent == fits and (work.study.ended is None) == (fits == 24)
        assert not any(trial.running for trial in work.study.trials.values())


@pytest.mark.parametrize("slots", [1, 3])
def test_epochs_are_never_exceeded_by_steps(slots: int, tmp_path: Path) -> None:
    by_steps = experiment(
        {"epochs": 43}, training={"epochs": 4, "report_steps": 5}, search={"scheduler": {"rungs": [10, 20]}}
    )
    work = open_work(tmp_path, by_steps, slots)
    simulate(work, {}, slots)
    spent = spent_on(work.study, work.journal.totals).epochs
    assert spent == pytest.approx(sum(trial.epochs for trial in work.study.trials.values()))
    assert 43 - 24 - 4 < spent <= 43 - 24 and work.done and work.study.ended


def test_a_trial_that_the_budget_stops_says_so(tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment({"epochs": 28}), 2)
    simulate(work, {}, 2)
    messages = [trial.attributes.message for trial in work.study.trials.values() if trial.outcome == "stopped"]
    assert any(message.startswith("search.budget.epochs 28 is used up") for message in messages)


def test_a_larger_budget_goes_on_as_if_it_had_been_given_at_once(tmp_path: Path) -> None:
    simulate(open_work(tmp_path, experiment({"epochs": 40}, search={"scheduler": "none"})), {})
    work = open_work(tmp_path, experiment({"epochs": 60}, search={"scheduler": "none"}))
    assert not work.done
    simulate(work, {})
    at_once = open_work(tmp_path / "at_once", experiment({"epochs": 60}, search={"scheduler": "none"}))
    simulate(at_once, {})
    assert len(work.study.trials) == 9 == (60 - 24) // 4
    assert [t.params for t in work.study.trials.values()] == [t.params for t in at_once.study.trials.values()]


def test_trials_and_budget_whichever_comes_first(tmp_path: Path) -> None:
    work = open_work(tmp_path, experiment({"epochs": 500}, trials=3))
    simulate(work, {})
    assert len(work.study.trials) == 3 and work.study.ended is None


def lines(study: Study, journal: Journal, costs: list[float]) -> None:
    """Whole trials of 4 epochs, each epoch at so many seconds."""
    for seconds in costs:
        trial = study.add({}, {})
        for epoch in range(1, 5):
            journal.append(line_of(trial.number, epoch, train_seconds=seconds * 0.9, eval_seconds=seconds * 0.1))
            study.report(trial, epoch, seconds)  # the dearest trial is the best
        study.finish(trial, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("budget", "enough", "too_little"),
    [
        # 2 trials have cost 4 x (10 + 30) s; a stretch of 2 epochs costs 2 x 20 s, a final of the leader 4 x 30 s.
        ({"gpu_hours": 0}, (160 + 40 + 2 * 120 + 1) / 3600, (160 + 40 + 2 * 120 - 1) / 3600),
        ({"dollars": 0, "price_per_gpu_hour": 3}, 3 * 441 / 3600, 3 * 439 / 3600),
        # By the clock, both finals run at once on two slots; 80 s have gone by.
        ({"wall_hours": 0}, (80 + 40 + 120 + 1) / 3600, (80 + 40 + 120 - 1) / 3600),
    ],
)
def test_time_is_reserved_at_the_measured_cost(
    budget: dict[str, float], enough: float, too_little: float, tmp_path: Path
) -> None:
    study, journal = Study(tmp_path / "s.db", "s", "maximize"), Journal(tmp_path / "trials.jsonl")
    lines(study, journal, [10, 30])
    study.set_wall_seconds(80)
    key = next(iter(budget))
    for limit, ends in ((enough, False), (too_little, True)):
        config = experiment({**budget, key: limit}, finals={"top": 1, "seeds": 2})
        reason = budget_of(config, slots=2).reason(study, journal)
        assert (reason is not None) == ends, reason
    assert reason is not None and reason.startswith(f"search.budget.{key} ") and "kept for the finals" in reason
    hardly = budget_of(experiment({**budget, key: 0.01}, finals={"top": 1, "seeds": 2}))
    assert "the budget is too small for them" in str(hardly.reason(study, journal)), (
        "what can only be told later is told then"
    )
    grid = budget_of(experiment({**budget, key: too_little}, finals={"top": 1, "seeds": 0}), slots=2)
    assert grid.reason(study, journal) is None, "nothing is kept where nothing is retrained"
    before = budget_of(experiment({**budget, key: enough}, finals={"top": 1, "seeds": 2}), 2, before=Spent(0, 9, 9))
    assert before.reason(study, journal) is not None
    assert re.fullmatch(r"[\d.]+ of [\d.]+ (GPU hours|dollars|hours by the clock) \(\d+%\)", before.describe()[0])


@pytest.mark.parametrize(
    ("budget", "changes", "message"),
    [
        ({}, {}, r"search\.trials: null never ends with default; give a number, or a search\.budget"),
        ({"epochs": 27}, {}, r"search\.budget\.epochs: 27 is too few: the finals need 24 and one trial 4; give 28"),
        ({"epochs": 3}, {"finals": {"seeds": 0}}, r"the finals need 0 and one trial 4"),
        ({"dollars": 5}, {}, r"price_per_gpu_hour: missing"),
    ],
)
def test_what_can_not_be_done_is_refused(budget: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        experiment(budget, **changes)


def test_a_limit_alone_is_enough() -> None:
    assert BudgetConfig(wall_hours=2).limits == {"wall_hours": 2}
    assert experiment({"epochs": 28}).num_finals == 6
    assert experiment({}, trials=2).num_finals == 4, "no more finalists than trials"


def test_a_share_of_a_gpu_costs_its_share() -> None:
    devices = (0.25, 2.0, 1.0)
    totals = Totals(
        line_of(trial, 1, train_seconds=3000.0, eval_seconds=600.0, devices=share)
        for trial, share in enumerate(devices)
    )
    assert totals.seconds == 900 + 7200 + 3600
    assert totals.seconds_of == {0: 900, 1: 7200, 2: 3600}


# -- across drivers


class Wall:
    """The clock of a machine, on which a report takes a minute."""

    def __init__(self, now: float):
        self.now = now

    def monotonic(self) -> float:
        return self.now


def report_all(work: Work, wall: Wall, most: float, devices: float) -> int:
    """So many reports at most, of one worker; how many there were."""
    for count in range(int(min(most, 1000))):
        if not work.live and work.next(1) == FINISHED:
            return count
        (number,) = work.live
        trial, wall.now = work.study.trials[number], wall.now + 60
        cost = {"train_seconds": 50.0, "eval_seconds": 10.0, "devices": devices}
        epoch = trial.progress + 1
        if not work.reported(number, make_report(epoch, score(trial, epoch), **cost)):
            work.released(number, crashed=False)
    return int(most)


@pytest.mark.parametrize("key", UNITS)
def test_every_limit_counts_what_earlier_drivers_spent(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each limit allows 20 epochs of the search, and 4 of one final; a driver dies after 6 reports or so."""
    devices, epochs, drivers = 0.25, 24, 4
    limit = {"epochs": epochs, "gpu_hours": epochs / 60 * devices, "wall_hours": epochs / 60}
    limit["dollars"] = 2 * limit["gpu_hours"]
    budget = {key: limit[key], **({"price_per_gpu_hour": 2} if key == "dollars" else {})}
    search = experiment(budget, finals={"top": 1, "seeds": 1}, search={"scheduler": "none", "sampler": "random"})
    reports = 0
    for driver in range(drivers):
        wall = Wall(1000.0 / (driver + 1))  # each machine counts from somewhere else
        monkeypatch.setattr(working, "time", SimpleNamespace(monotonic=wall.monotonic))
        work = open_work(tmp_path, search)
        work.rules.endings = [replace(budget_of(search), devices=devices)]
        reports += report_all(work, wall, 6 if driver < drivers - 1 else math.inf, devices)
        assert work.study.wall_seconds == pytest.approx(60 * reports)
        work.journal.close()
        work.study.close()
    assert reports == 20
    assert re.match(rf"search.budget.{key} \S+ is used up", str(work.study.ended))
    spent = spent_on(Study(tmp_path / "study.db", "search", "maximize"), Journal(tmp_path / "trials.jsonl").totals)
    assert astuple(spent) == pytest.approx((20, 20 * 60 * devices, 20 * 60))


@pytest.mark.parametrize("devices", [0.25, 1.0, 2.0])
@pytest.mark.parametrize(
    ("finals", "slots", "waves"), [(1, 2, 1), (3, 2, 2), (4, 2, 2), (5, 2, 3), (5, 4, 2), (3, 1, 3)]
)
def test_the_last_wave_of_finals_is_kept_though_it_does_not_fill_the_slots(
    finals: int, slots: int, waves: int, devices: float, tmp_path: Path
) -> None:
    """By the clock: 80 s so far, 2 epochs of 20 s to the next rung, and 4 epochs of 20 s a wave, on any devices."""
    study, journal = Study(None, "s", "maximize"), Journal(tmp_path / "trials.jsonl")
    for epoch in range(1, 5):
        journal.append(line_of(0, epoch, train_seconds=15.0, eval_seconds=5.0, devices=devices))
    trial = study.add({}, {}, scores={1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0})
    study.finish(trial, Outcome.COMPLETED)
    study.set_wall_seconds(80)
    clock, card = 80 + 40 + waves * 80, (80 + 40 + finals * 80) * devices
    for key, needed in (("wall_hours", clock / 3600), ("gpu_hours", card / 3600), ("dollars", 3 * card / 3600)):
        for limit, ends in ((needed * 1.001, False), (needed * 0.999, True)):
            config = {key: limit, **({"price_per_gpu_hour": 3} if key == "dollars" else {})}
            budget = budget_of(experiment(config, finals={"top": 1, "seeds": finals}), slots)
            assert (replace(budget, devices=devices).reason(study, journal) is not None) == ends, key


@pytest.mark.parametrize(("gpus", "devices"), [(0.0, 1.0), (0.25, 0.25), (1.0, 1.0), (2.0, 2.0)])
def test_a_search_is_charged_for_the_slots_it_has(gpus: float, devices: float) -> None:
    search = experiment({"wall_hours": 3}, finals={"top": 3, "seeds": 4})
    nothing: Any = None
    trainer = Trainer(search, Slots(5, gpus), nothing, None, nothing, nothing, lambda: None)
    expected = Budget(BudgetConfig(wall_hours=3), 4, (1, 2), "epoch", finals=12, finalists=3, slots=5, devices=devices)
    assert trainer.budget(Spent()) == expected
    assert trainer.budget(Spent(1, 2, 3)) == replace(expected, before=Spent(1, 2, 3))
    by_steps = search.with_values({"training.report_steps": 5, "search.scheduler.rungs": [10]})
    assert Trainer(by_steps, Slots(1, 0), nothing, None, nothing, nothing, lambda: None).budget(Spent()).unit == "step"


def test_the_share_of_a_budget_is_that_of_the_nearest_limit() -> None:
    config = {"epochs": 100, "gpu_hours": 10, "dollars": 5, "price_per_gpu_hour": 2, "wall_hours": 8}
    budget = budget_of(experiment(config))
    assert budget.share(Spent(30, 3600, 2 * 3600)) == pytest.approx(0.4), "2 of 5 dollars"
    assert budget.share(Spent(30, 360, 6 * 3600)) == pytest.approx(0.75), "6 of 8 hours"
    assert budget.share(Spent(90, 360, 6 * 3600)) == pytest.approx(0.9)
    assert budget.bill(Spent(0, 5400, 0)) == pytest.approx(3.0)
    assert budget_of(experiment({}, trials=2)).share(Spent(9, 9, 9)) is None
    assert Spent(1, 2, 3) + Spent(10, 20, 30) == Spent(11, 22, 33)
