"""What a search will take: its space, the simulated course, the probe, what can't fit, and how far off the plan was."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_run import write_config

from search.cluster.slots import Slots
from search.planning import fitting
from search.planning.chances import chance_by_forecast, simulated_chance
from search.planning.estimate import Estimate, Range, estimate
from search.planning.extent import Extent, measure_extent
from search.planning.fitting import check_disk, check_memory
from search.planning.kept import PLAN, compare_with_plan, describe_plan, keep_plan
from search.planning.own_models import MODELS
from search.planning.planned import PlannedSearch, plan_search
from search.planning.probe import probe
from search.planning.simulation import MOST_TRIALS, Conditions, simulate
from search.planning.speeds import Measured, Speeds
from search.record.budget import Spent
from search.record.study import Study
from search.run import main
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome
from trainables.base.rounds import Rounds

SPACE: dict[str, Any] = {
    "model.d_model": {"values": [64, 128, 256]},
    "model.encoder_layers": {"min": 1, "max": 4},
    "training.learning_rate": {"min": 0.001, "max": 0.01},
}
SECOND = Speeds(
    [Measured(1e8, 1.0, 0.0, 0.0, 0, 0, 5, 0.0), Measured(1e12, 1.0, 0.0, 0.0, 0, 0, 5, 0.0)], MODELS
)  # an epoch
TWO = Slots(2, 0.0)


def experiment(**changes: Any) -> Experiment:
    return Experiment.model_validate({"space": SPACE, "training": {"epochs": 8}, **changes})


def conditions(search: Experiment) -> Conditions:
    """A hundred steps an epoch, of a thousand tokens each."""
    return Conditions(search, TWO, SECOND, Rounds(search.training, 100, 100_000))


def estimated(search: Experiment, extent: Extent, speeds: Speeds | None) -> Estimate:
    return estimate(search, extent, TWO, conditions(search).rounds, speeds)


# -- the space


def test_the_corners_of_a_space_are_found() -> None:
    extent = measure_extent(experiment())
    assert extent.combinations == math.inf
    for smaller, larger in ((extent.smallest, extent.largest), (extent.lightest, extent.heaviest)):
        assert (smaller.params["model.d_model"], smaller.params["model.encoder_layers"]) == (64, 1)
        assert (larger.params["model.d_model"], larger.params["model.encoder_layers"]) == (256, 4)


def test_of_a_grid_what_makes_a_trial_is_counted() -> None:
    space = {"model.num_heads": {"values": [3, 4, 8]}, "model.d_model": {"values": [64, 96]}}
    extent = measure_extent(experiment(space=space))
    assert (extent.combinations, extent.valid) == (6, 5), "3 heads divide 96 alone"
    limited = experiment(search={"max_parameters": MODELS.parameters(extent.largest.config) - 1})
    assert MODELS.parameters(measure_extent(limited).largest.config) < MODELS.parameters(extent.largest.config)


# -- seconds of what was not measured


def test_seconds_follow_the_operations_between_and_beyond_what_was_measured() -> None:
    config = experiment().trial
    work = MODELS.work_of_pair(config)

    def speeds(*points: tuple[float, float]) -> float:
        return Speeds([Measured(work * w, s, s / 10, 0.0, 0, 0, 5, 0.0) for w, s in points], MODELS).of(config).train

    assert speeds((1, 3.0)) == pytest.approx(3)
    assert speeds((0.25, 1.0), (4, 4.0)) == pytest.approx(2), "half way of the logarithms"
    assert speeds((2, 3.0), (4, 4.0)) == pytest.approx(1.5) and speeds((0.5, 3.0)) == pytest.approx(6)


# -- the course


def test_a_search_that_stops_nobody_takes_what_can_be_counted_by_hand() -> None:
    search = {"scheduler": "none", "trials": 5, "sampler": "random"}
    course = simulate(conditions(experiment(search=search, finals={"top": 3, "seeds": 1})), seed=0)
    assert (course.trials, course.epochs) == (5, 40)
    assert course.device_seconds == pytest.approx(40) and course.seconds == pytest.approx(24), "3 rounds on 2 slots"
    assert course.finals_device_seconds == pytest.approx(24) and course.finals_seconds == pytest.approx(16)


@pytest.mark.parametrize("scheduler", [kind for kind in SCHEDULERS if SCHEDULERS.read(kind).all_rungs(8)])
def test_stopping_saves_epochs_and_the_seed_decides_what_happens(scheduler: str) -> None:
    if SCHEDULERS.read(scheduler).breeds:
        return  # it saves none
    asked = experiment(search={"scheduler": scheduler, "trials": 16, "sampler": "random"})
    courses = [simulate(conditions(asked), seed) for seed in (0, 0, 1)]
    assert courses[0] == courses[1] != courses[2]
    assert 16 * 2 <= courses[0].epochs < 16 * 8


def test_a_population_and_reports_by_steps_can_be_played_through() -> None:
    space = {"model.dropout": {"min": 0.0, "max": 0.5}}
    search = {"scheduler": "pbt", "sampler": "qmc", "trials": 8}
    population = experiment(space=space, search=search)
    assert simulate(conditions(population), 0).epochs == pytest.approx(64)
    assert estimated(population, measure_extent(population), SECOND).epochs_most == 64
    stepping = experiment(
        training={"epochs": 2, "report_steps": 30}, search={"scheduler": {"rungs": [30]}, "trials": 6}
    )
    assert 6 * 0.3 <= simulate(conditions(stepping), 0).epochs < 12
    tokens = {"epochs": 2, "report_tokens": 30_000}
    counting = experiment(training=tokens, search={"scheduler": {"rungs": [30_000]}, "trials": 6})
    assert 6 * 0.3 <= simulate(conditions(counting), 0).epochs < 12


@pytest.mark.parametrize(("key", "limit"), [("epochs", 150), ("gpu_hours", 150 / 3600), ("wall_hours", 75 / 3600)])
def test_the_budget_of_the_search_ends_it(key: str, limit: float) -> None:
    asked = experiment(search={"trials": None, "budget": {key: limit}}, finals={"top": 1, "seeds": 2})
    course = simulate(conditions(asked), seed=0)
    assert 100 < course.epochs + 16 <= 150 + 8


def test_a_long_search_is_played_in_part_and_counted_whole() -> None:
    search = {"scheduler": "none", "trials": 2 * MOST_TRIALS, "sampler": "random"}
    course = simulate(conditions(experiment(search=search, training={"epochs": 1})), seed=0)
    assert course.trials == course.epochs == 2 * MOST_TRIALS


# -- the estimate


def test_money_is_device_time_and_the_worst_case_is_the_heaviest_to_its_end() -> None:
    asked = experiment(search={"trials": 10, "budget": {"price_per_gpu_hour": 2.0}}, finals={"top": 2, "seeds": 1})
    found = estimated(asked, measure_extent(asked), SECOND)
    assert found.epochs_most == 80 and found.finals_epochs == 16
    assert found.epochs.low <= found.epochs.expected <= found.epochs.high < 80
    assert found.times and found.times.dollars
    assert found.times.dollars.expected == pytest.approx(found.times.device.expected / 3600 * 2)
    assert found.times.device.expected == pytest.approx(found.epochs.expected + 16)
    assert found.times.wall.low < found.times.wall.expected < found.times.wall.high < found.times.wall_most
    unmeasured = estimated(asked, measure_extent(asked), None)
    assert unmeasured.times is None and unmeasured.epochs.expected == pytest.approx(found.epochs.expected, rel=0.15)


def test_hours_stay_within_a_budget_of_hours() -> None:
    asked = experiment(search={"trials": None, "budget": {"wall_hours": 0.02}}, finals={"top": 1, "seeds": 1})
    found = estimated(asked, measure_extent(asked), SECOND)
    assert found.times and found.times.trained.high <= 72 and found.epochs_most == math.inf


# -- what can't fit


def test_models_larger_than_memory_are_refused() -> None:
    huge = experiment(space={"model.d_model": {"values": [64, 1_048_576]}})
    with pytest.raises(UserError, match=r"space: its largest model, d_model=1048576, .* TB .* search.max_p"):
        check_memory(huge, measure_extent(huge))
    check_memory(experiment(), measure_extent(experiment()))


def test_a_full_disk_is_refused_or_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    asked = experiment(search={"trials": 4})
    found = estimated(asked, measure_extent(asked), None)
    for free, refused, warned in ((1.0, True, False), (found.disk.high - 1, False, True), (1e12, False, False)):
        caplog.clear()
        monkeypatch.setattr(fitting, "free_disk", lambda folder, free=free: free)
        try:
            check_disk(asked, found)
            assert not refused
        except UserError as error:
            assert refused and "output_dir" in str(error)
        assert bool(caplog.messages) == warned


# -- what is kept


def test_a_kept_plan_says_how_far_off_it_was(tmp_path: Path) -> None:
    asked = experiment(search={"trials": 4})
    extent = measure_extent(asked)
    found = estimated(asked, extent, SECOND)
    found = replace(found, epochs=Range(18, 20, 23))
    keep_plan(tmp_path, asked, PlannedSearch(extent, TWO, SECOND, found))
    assert "20 epochs of search (18 to 23)" in describe_plan(found)
    search, everything = Spent(22, 22, 11), Spent(70, 70, 35)
    epochs, device, wall = compare_with_plan(tmp_path, asked, search, everything)
    assert epochs == "22 epochs where 20 epochs were planned (+10%, within 18 epochs to 23 epochs), without the finals"
    assert device.startswith("70 s where ") and wall.startswith("35 s where ")
    moved = asked.model_copy(update={"name": "other", "output_dir": "/elsewhere"})
    assert compare_with_plan(tmp_path, moved, search, everything)
    assert compare_with_plan(tmp_path, experiment(search={"trials": 5}), search, everything) == []
    (tmp_path / PLAN).write_text((tmp_path / PLAN).read_text().replace("20", "21"))
    assert "damaged" in compare_with_plan(tmp_path, asked, search, everything)[0]
    (tmp_path / PLAN).unlink()
    assert compare_with_plan(tmp_path, asked, search, everything) == []


# -- the command


def test_the_command_measures_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, search={"trials": 5, "concurrency": 1, "budget": {"price_per_gpu_hour": 1.5}})
    assert main(["plan", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    for row in ("pair 1:", "space", "smallest model", "largest model", "trials", "epochs", "by the clock", "dollars"):
        assert row in said, said
    for row in ("memory", "disk", "lightest", "heaviest", "--search.budget.wall_hours"):
        assert row in said, said
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".cache"]
    asked = Experiment.load(config)
    plan = plan_search(asked, measure_extent(asked), Slots(1, 0.0), measuring=False)
    assert plan and plan.speeds, "the search finds what was measured"
    light, heavy = plan.speeds.measured[0], plan.speeds.measured[-1]
    assert light.train_seconds > 0 and light.valid_seconds > 0 and light.test_seconds > 0
    assert light.work < heavy.work and light.memory > 50e6
    other = plan_search(asked, measure_extent(asked), Slots(2, 0.0), measuring=False)
    assert other and other.speeds is None and other.estimate.times is None, "two at a time take another time each"
    timed = Experiment.load(config, **{"search.budget.wall_hours": 1.0})
    assert plan_search(timed, measure_extent(timed), Slots(2, 0.0), measuring=False) is None


def test_a_model_that_can_not_be_trained_ends_the_probe_at_once(tmp_path: Path) -> None:
    small = Experiment.load(write_config(tmp_path))
    huge = small.trial.with_values({"model.d_model": 2**20})
    with pytest.raises(UserError, match=r"could not be trained here, 2 at a time .*parameters don't fit"):
        probe(MODELS, [huge], small.cache, 2, 1, 10)


def test_a_space_that_cannot_fit_is_refused_by_plan_and_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, space={"model.d_model": {"values": [32, 2_097_152]}})
    for command in (["plan"], []):
        assert main([*command, "--config", str(config)]) == 2
        assert f"{config}: space: its largest model, d_model=2097152" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*/study.db"))


def test_a_simulated_trial_may_end_as_the_best_as_far_as_its_rung_says_so() -> None:
    """In place of the sampler's model, where that has one: final scores are twice those at the rung."""
    study = Study(None, "search", "maximize")
    for at_rung in (5.0, 6.0, 7.0, 9.0):
        trial = study.add({}, {})
        study.report(trial, 1, at_rung)
        waiting = [trial]
        assert chance_by_forecast(study, waiting) is None, "fewer than four have finished"
        study.report(trial, 2, 2 * at_rung)
        study.finish(trial, Outcome.COMPLETED)
    waiting = [study.add({}, {}) for _ in range(3)]
    for trial, at_rung in zip(waiting, (5.0, 9.0, 13.0), strict=True):
        study.report(trial, 1, at_rung)
    chances = chance_by_forecast(study, waiting)
    assert chances is not None and chances[0] < 0.1 < chances[1] < 0.6 < 0.8 < chances[2]
    for sampler, known in (("default", True), ("tpe", False), ("random", False)):
        experiment = Experiment.model_validate({"search": {"sampler": sampler}})
        assert (simulated_chance(experiment) is not None) == known
