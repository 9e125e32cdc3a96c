"""Several goals: fronts, what a candidate adds to one, which trials continue, and which are finalists."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import TEST_BLEU, entry
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from search.engine.decisions import carry_out
from search.engine.proposals import SearchPlan, make_scheduler
from search.finals.board import LeaderboardEntry
from search.finals.compromises import choose, explain_choice, mark_front
from search.goals.front import Cells, covered, hypervolume, non_dominated, ranks, spread_along
from search.record.study import Study
from search.samplers.front_improvement import log_front_improvement
from search.samplers.models import Axis
from search.settings.costs import costs_of, measure_costs, within_limits
from search.settings.experiment import Experiment
from search.space.space import Params
from search.translation.speeds import seconds_of_finalists
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.timing import measuring
from trainables.timing.config import SpeedConfig
from trainables.timing.measuring import Timing

GOALS = ("valid_bleu", "-parameters")
SPACE = {"model.d_model": {"values": [64, 128, 256, 512]}, "training.learning_rate": {"min": 1e-4, "max": 1e-2}}
grid = st.integers(0, 5).map(float)
points = st.lists(st.tuples(grid, grid, grid), min_size=1, max_size=12)


def experiment(**search: Any) -> Experiment:
    return Experiment.model_validate({"space": SPACE, "training": {"epochs": 4}, "search": {"goals": GOALS, **search}})


@given(points, st.integers(1, 2))
@settings(deadline=None)
def test_the_front_and_its_volume_are_those_of_their_definitions(drawn: list[tuple[float, ...]], goals: int) -> None:
    heights, costs = np.array([p[0] for p in drawn]), np.array([p[1 : 1 + goals] for p in drawn])

    def beats(a: int, b: int) -> bool:
        no_worse = heights[a] >= heights[b] and (costs[a] <= costs[b]).all()
        return bool(no_worse and (heights[a] > heights[b] or (costs[a] < costs[b]).any()))

    rows = range(len(drawn))
    assert non_dominated(heights, costs).tolist() == [not any(beats(a, b) for a in rows) for b in rows]
    rank = ranks(heights, costs)
    assert all(rank[a] < rank[b] for a in rows for b in rows if beats(a, b))

    # Heights and costs are whole numbers, so the volume is the number of unit cubes that a point dominates.
    cubes = np.stack(np.meshgrid(*[np.arange(1, 6) for _ in range(goals)], indexing="ij"), -1).reshape(-1, goals) - 1
    tops = [max((heights[r] for r in rows if (costs[r] <= cube).all()), default=1.0) for cube in cubes]
    assert hypervolume(heights, costs, 1.0, np.full(goals, 5.0)) == sum(max(top - 1.0, 0.0) for top in tops)


@pytest.mark.parametrize("deviation", [0.0, 0.7])
@pytest.mark.parametrize("goals", [1, 2])
def test_the_expected_growth_is_that_of_sampled_volumes(goals: int, deviation: float) -> None:
    rng = np.random.default_rng(goals)
    heights, costs = rng.normal(size=6), rng.normal(size=(6, goals))
    least, most = -0.5, np.full(goals, 2.0)
    place, mean, spread = rng.normal(size=goals) - 0.5, 0.3, 0.8
    cells = Cells.of(heights, costs, least, most)
    axes = [Axis(np.array([each]), np.array([deviation])) for each in place]
    expected = math.exp(log_front_improvement(np.array([mean]), np.array([spread]), axes, cells)[0])
    before, grown = hypervolume(heights, costs, least, most), []
    drawn = zip(rng.normal(mean, spread, 4000), place + deviation * rng.normal(size=(4000, goals)), strict=True)
    for height, where in drawn:
        grown.append(hypervolume(np.append(heights, height), np.vstack((costs, where)), least, most) - before)
    assert expected == pytest.approx(np.mean(grown), abs=4 * float(np.std(grown)) / math.sqrt(len(grown)))


def test_what_costs_more_than_all_that_counts_adds_nothing() -> None:
    cells = Cells.of(np.array([1.0]), np.array([[0.0]]), 0.0, np.array([1.0]))
    assert covered(cells, np.array([[1.5], [math.inf]]), np.zeros((2, 1))).max() == -math.inf


def simulate(asked: Experiment, trials: int) -> list[int]:
    """Search with scores that grow with the size by less and less; returns the widths that were tried."""
    plan, study = SearchPlan(asked), Study(None, "search", "maximize")
    widths = []
    for _ in range(trials):
        proposal = plan.propose(study)
        assert proposal
        trial = study.add(proposal.params, plan.distributions, proposal.memory)
        config: Any = plan.config(proposal.params)
        widths.append(config.model.d_model)
        rate = abs(math.log10(config.training.learning_rate) + 3)
        study.report(trial, 4, 20 + 4 * math.log2(config.model.d_model / 64) - 10 * rate)
        study.finish(trial, Outcome.COMPLETED)
    return widths


@pytest.mark.parametrize("sampler", ["default", "tpe", "gp", "nsga2", "random"])
def test_every_sampler_tries_small_and_large_models_within_the_limit(sampler: str) -> None:
    most = experiment().trial.with_values({"model.d_model": 256}).num_parameters
    asked = experiment(sampler=sampler, limits={"parameters": most})
    tried = simulate(asked, 14)
    assert {64, 256} <= set(tried) and 512 not in tried, "512 breaks the limit"


def test_the_default_sampler_learns_a_second_goal_that_only_training_tells() -> None:
    asked = experiment(goals=("valid_bleu", "-train_seconds"))
    assert len(set(simulate(asked, 8))) > 1  # no report: the cost stays unknown, and the search goes on


def finished(study: Study, plan: SearchPlan, width: int, at_rung: float, final: float) -> None:
    params: Params = {"model.d_model": width, "training.learning_rate": 1e-3 + len(study.trials) * 1e-5}
    trial = study.add(params, plan.distributions)
    study.report(trial, 2, at_rung)
    study.report(trial, 4, final)
    study.finish(trial, Outcome.COMPLETED)


def at_the_rung(study: Study, plan: SearchPlan, width: int, score: float) -> str:
    params: Params = {"model.d_model": width, "training.learning_rate": 2e-3 + len(study.trials) * 1e-5}
    trial = study.add(params, plan.distributions)
    study.report(trial, 2, score)
    scheduler = make_scheduler(experiment(scheduler={"kind": "asha_promotion", "rungs": [2], "reduction_factor": 2}))
    decision = scheduler.decide(study, trial)
    carry_out(decision, study, trial, scheduler.rungs)
    return decision


def test_a_cheap_model_that_no_cheaper_one_beats_continues_though_its_score_is_low() -> None:
    plan, study = SearchPlan(experiment()), Study(None, "search", "maximize")
    for width, score in ((64, 12.0), (128, 20.0), (256, 24.0), (512, 26.0), (512, 25.5), (64, 11.0), (128, 15.0)):
        finished(study, plan, width, score / 2, score)
    assert at_the_rung(study, plan, 512, 10.0) == "park", "a small model ends as high"
    assert at_the_rung(study, plan, 64, 10.0) == "go", "no model of its size is so good"
    assert at_the_rung(study, plan, 64, 2.0) == "park", "below the median of all, and of its size"
    assert at_the_rung(study, plan, 512, 14.0) == "go", "the best at the rung"


def test_without_a_forecast_the_best_by_rank_continue() -> None:
    plan, study = SearchPlan(experiment()), Study(None, "search", "maximize")
    decisions = [at_the_rung(study, plan, width, score) for width, score in ((512, 5.0), (512, 9.0), (64, 6.0))]
    assert decisions == ["park", "go", "park"]  # of three, one; the small one is on the front, too, but scores less
    scheduler = make_scheduler(experiment(scheduler={"kind": "asha_promotion", "rungs": [2], "reduction_factor": 2}))
    assert at_the_rung(study, plan, 512, 4.0) == "park"
    promoted = scheduler.promote(study, set())
    assert promoted and promoted.number == 2, "of four, two: the small one beats the others' rank"


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"goals": ["valid_bleu"]}, "goals: valid_bleu: give two or three different ones"),
        ({"goals": ["valid_bleu", "parameters"]}, "goals: parameters: less is better; write -parameters"),
        ({"goals": ["-valid_bleu", "-parameters"]}, "goals: -valid_bleu: more is better; write valid_bleu"),
        ({"goals": ["valid_blue", "-parameters"]}, "did you mean valid_bleu"),
        ({"goals": GOALS, "metric": "valid_nll_per_char"}, "goals: lacks valid_nll_per_char"),
        ({"goals": GOALS, "goal": "smallest within 1 valid_bleu of the best"}, "says in words what goals lists"),
        ({"goal": "small"}, "goal: 'small': is not understood"),
        ({"limits": {"seconds": 1}}, "limits.seconds: is not known before training"),
        ({"limits": {"parameters": 0}}, "limits.parameters: 0 leaves no model"),
        ({"limits": {"parameters": 9e6}, "max_parameters": 9}, "is limits.parameters, too"),
        ({"limits": {"parameters": 9}}, "no combination of its values makes a valid trial of at most 9 parameters"),
        ({"goals": GOALS, "sampler": "cmaes"}, "goals: cmaes looks for one best score"),
        ({"goals": GOALS, "scheduler": "median"}, "goals: scheduler median stops by the score alone"),
        ({"goals": GOALS, "stop_when_settled": True}, "stop_when_settled: compares a gain"),
        (
            {"goals": ["valid_bleu", "-train_seconds"], "deterministic": True, "concurrency": 1},
            "depends on the machine",
        ),
    ],
)
def test_goals_that_can_not_be_are_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises((UserError, ValueError), match=message.replace("(", r"\(")):
        Experiment.model_validate({"space": SPACE, "training": {"epochs": 4}, "search": search})


def test_a_wish_in_words_is_a_pair_of_goals() -> None:
    asked = experiment(goals=(), goal="smallest within 0.5 valid_nll_per_char of the best").search
    assert (asked.metric, asked.besides) == ("valid_nll_per_char", ("parameters",))


# -- speed as a goal


def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let each decoder layer take 0.01 s; returns the number of models of each measurement."""
    asked: list[int] = []

    def measure(configs: Sequence[TranslationConfig], setup: SpeedConfig, cache: Path) -> list[Timing]:
        asked.append(len(configs))
        return [Timing(0.01 * config.model.decoder_layers, 0.02, 10.0, 10.0) for config in configs]

    monkeypatch.setattr(measuring, "measure", measure)
    return asked


LAYERS = {"model.decoder_layers": {"values": [1, 2, 3, 4]}, "training.learning_rate": {"min": 1e-4, "max": 1e-2}}


def run_of(folder: Path, **search: Any) -> Experiment:
    place = {"name": folder.name, "output_dir": str(folder.parent)}
    made = Experiment.model_validate({**place, "space": LAYERS, "search": search})
    made.run_dir.mkdir(exist_ok=True)
    return made


def test_speed_is_measured_once_and_what_is_too_slow_is_never_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, console = timed(monkeypatch), Console(quiet=True)
    run = run_of(
        tmp_path / "run", goals=("valid_bleu", "-seconds_per_sentence"), limits={"seconds_per_sentence": 0.025}
    )
    slow: Params = {"model.decoder_layers": 4, "training.learning_rate": 1e-3}
    assert within_limits(run)(slow), "a plan does not know the times"
    measure_costs(run, console)
    measure_costs(run, console)
    assert len(asked) == 1
    (cost,) = costs_of(run)
    assert cost.known and cost.known(slow) == pytest.approx(0.04, rel=0.05)
    proposed = [SearchPlan(run).sampler.propose(Study(None, "search", "maximize")) for _ in range(3)]
    assert all(each and each.params["model.decoder_layers"] in (1, 2) for each in proposed)

    measure_costs(run_of(tmp_path / "run", **run.search.model_dump() | {"speed": {"beam": 1}}), console)
    assert len(asked) == 2, "other settings need other times"
    too_fast = run_of(tmp_path / "run", limits={"seconds_per_sentence": 0.005})
    with pytest.raises(UserError, match=r"limits.seconds_per_sentence: 0.005 is too little.* the least is 0.01"):
        measure_costs(too_fast, console)


def test_finalists_are_timed_once_by_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, run = timed(monkeypatch), run_of(tmp_path / "run", goals=("valid_bleu", "-seconds_per_sentence"))
    configs = [as_translation(run.trial.with_values({"model.decoder_layers": layers})) for layers in (3, 3, 1)]
    for _ in range(2):
        found = seconds_of_finalists(run, configs, Console(quiet=True))
        assert [timing.seconds_per_sentence for timing in found] == [0.03, 0.03, 0.01]
    assert asked == [2]


# -- finalists


def test_points_are_spread_along_the_front() -> None:
    heights, costs = np.array([10.0, 9.9, 5.0, 9.8, 1.0, 4.0]), np.array([[10.0], [9.9], [1.0], [9.8], [0.5], [2.0]])
    assert spread_along(heights, costs, 3) == [0, 2, 3], "after the highest, what adds the most volume"
    assert sorted(spread_along(heights, costs, 6)) == list(range(6)), "those behind the front follow"
    assert spread_along(heights, costs, 6)[-1] == 5


def ranked(*scores_and_sizes: tuple[float, int]) -> list[LeaderboardEntry]:
    entries = [entry(place, 10 + place, score, 1, {}) for place, (score, _) in enumerate(scores_and_sizes, 1)]
    return [replace(e, num_parameters=size) for e, (_, size) in zip(entries, scores_and_sizes, strict=True)]


def test_a_wish_chooses_the_smallest_of_those_that_are_good_enough() -> None:
    ranking = ranked((30.0, 400), (29.8, 100), (29.6, 200), (29.0, 10))
    asked = experiment(goals=(), goal="smallest within 0.5 valid_bleu of the best").search
    assert choose(ranking, TEST_BLEU, asked).trial == 12
    (said,) = explain_choice(ranking, TEST_BLEU, asked)
    assert said.endswith(
        "trial 12, of 3 finalists within 0.5 valid_bleu of the best: parameters 100, 4 times less than trial 11, which "
        "scores best"
    )
    front = [line.trial for line in mark_front(ranking, TEST_BLEU, asked) if line.pareto]
    assert front == [11, 12, 14]
    near_zero = ranked((0.2, 400), (0.1, 100))
    assert choose(near_zero, TEST_BLEU, asked).trial == 11, "BLEU says nothing there"
    assert "is not followed" in explain_choice(near_zero, TEST_BLEU, asked)[0]
    none = experiment(goals=()).search
    assert choose(ranking, TEST_BLEU, none).trial == 11 and explain_choice(ranking, TEST_BLEU, none) == []
