"""What a user knows before the search: first trials, conditions, beliefs, and what time costs."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.replay.simulation import Until, evaluate
from search.replay.tables import System, Table, make_table
from search.run_directory.changes import Change, find_change
from search.samplers import Task
from search.samplers.base import list_all
from search.samplers.belief import Beliefs
from search.samplers.coding import Coding
from search.samplers.default import DefaultSettings, ModelSampler
from search.samplers.evidence import gather
from search.settings.conditions import read_condition
from search.settings.experiment import Experiment
from search.space.space import Params, SearchSpace
from trainables.base.outcomes import Outcome

SPACE: dict[str, Any] = {
    "model.encoder_layers": {"values": [1, 2, 4]},
    "model.decoder_layers": {"values": [1, 2, 4]},
    "model.dropout": {"min": 0.0, "max": 0.4},
}


def experiment(space: dict[str, Any] | None = None, **search: Any) -> Experiment:
    return Experiment.model_validate({"space": SPACE if space is None else space, "search": search})


def mistake(space: dict[str, Any] | None = None, **search: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        experiment(space, **search)
    (error,) = caught.value.errors()
    return str(error["msg"])


def proposed(plan: SearchPlan, count: int) -> list[dict[str, Any]]:
    study = Study(None, "search", "maximize")
    for _ in range(count):
        proposal = plan.propose(study)
        assert proposal is not None
        study.add(proposal.params, plan.distributions, proposal.memory)
    return [dict(trial.params) for trial in study.trials.values()]


# -- first trials


def test_first_trials_come_in_their_order_then_the_sampler_proposes() -> None:
    changes = {"model.encoder_layers": 4, "model.dropout": 0.3}
    base, second, third, *_ = proposed(SearchPlan(experiment(first=["base", changes, "base"])), 4)
    assert base == {"model.encoder_layers": 2, "model.decoder_layers": 2, "model.dropout": 0.1}
    assert second == base | changes and third not in (base, second)


def test_if_the_space_lacks_the_base_the_nearest_trial_is_first() -> None:
    outside = {**SPACE, "model.dropout": {"values": [0.25, 0.2, 0.5]}}
    (first,) = proposed(SearchPlan(experiment(outside)), 1)
    assert first == {"model.encoder_layers": 2, "model.decoder_layers": 2, "model.dropout": 0.2}
    unequal = experiment(where=["model.encoder_layers > model.decoder_layers"])
    (first,) = proposed(SearchPlan(unequal), 1)
    assert first["model.dropout"] == 0.1 and (first["model.encoder_layers"], first["model.decoder_layers"]) in (
        (2, 1),
        (4, 2),
    )


def test_a_first_trial_that_the_space_lacks_is_refused_in_a_sentence() -> None:
    assert "search.first[0].model.encoder_layers: 3 is not one of [1, 2, 4]" in mistake(
        first=[{"model.encoder_layers": 3}]
    )
    assert "search.first[1].model.droput: names no field of a trial; did you mean model.dropout?" in mistake(
        first=["base", {"model.droput": 0.1}]
    )
    assert "'bsae' is neither base nor changes of it" in mistake(first=["bsae"])
    assert "the space does not vary it, so it stays 256" in mistake(first=[{"model.d_model": 512}])
    assert "search.first: grid has an order of its own" in mistake(
        {"model.encoder_layers": {"values": [1, 2]}}, sampler="grid", first=["base", {"model.encoder_layers": 1}]
    )
    both = {"model.encoder_layers": 1, "model.decoder_layers": 4}
    assert "search.first[0]: no valid trial of the space has these values" in mistake(
        first=[both], where=["model.encoder_layers >= model.decoder_layers"]
    )


# -- conditions

NAMES = {"a": 3, "b": 5, "c": "relu", "d": None, "e": True, "f": 0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a < b", True),
        ("1 <= a < b", True),
        ("b < a or not c == 'gelu'", True),
        ("a * 2 - 1 == b and b // 2 == 2 and b % 2 == 1 and -a < 0", True),
        ("a in (1, 2, 3) and c not in ('gelu', 'silu')", True),
        ("a / f > 1", False),  # no number
        ("d > 1", False),  # null is neither more nor less
        ("d == None and e", True),
        ("e and not e", False),
        ("c == 'relu' and (a > b or a + b == 8)", True),
    ],
)
def test_a_condition_says_what_it_says_in_python(text: str, holds: bool) -> None:
    assert read_condition(text, NAMES).holds(NAMES) == holds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a <", 'write a comparison such as "model'),
        ("aa < b", "aa names no field of a trial"),
        ("c > 3", "> compares numbers, and this compares 'relu' with 3"),
        ("c + 1 == 2", "calculates with 'relu', which is no number"),
        ("a", "3 is neither true nor false"),
        ("c in 'relus'", "after in comes a list"),
        ("1 < 2", "names no field of a trial, so it is the same for all"),
        ("a ** b > 1", "'a ** b' is not understood"),
        ("__import__('os').system('true') == 0", "is not understood"),
        ("(lambda: a)() > 1", "is not understood"),
        ("a if e else b", "is not understood"),
        ("a < b < " + " < ".join(["a"] * 300), "is too long"),
        ("[x for x in (1, 2)] == a", "is not understood"),
        ("a.__class__ == 1", "names no field of a trial"),
    ],
)
def test_what_is_no_condition_is_refused_in_a_sentence_and_never_run(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        read_condition(text, NAMES).holds(NAMES)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    try:
        assert read_condition(text, NAMES).holds(NAMES) in (True, False)
    except ValueError as error:
        assert str(error)


def test_trials_meet_all_conditions_and_an_empty_space_is_told() -> None:
    conditions = ["model.encoder_layers >= model.decoder_layers", "model.dropout <= 0.2"]
    for sampler in ("random", "default"):
        for params in proposed(SearchPlan(experiment(sampler=sampler, where=conditions)), 8):
            assert params["model.encoder_layers"] >= params["model.decoder_layers"] and params["model.dropout"] <= 0.2
    assert "makes a valid trial that meets search.where" in mistake(where=["model.encoder_layers > 9"])
    told = mistake(where=["model.norm > model.encoder_layers"])
    assert told.count("search.where") == 1 and "> compares numbers" in told
    assert "did you mean model.encoder_layers?" in mistake(where=["encoder_layers > 1"])


# -- beliefs


def believing(value: object, confidence: str = "high", path: str = "x") -> SearchSpace:
    domains: dict[str, Any] = {name: {"values": list(range(7))} for name in ("x", "y", "z")}
    domains["word"] = {"values": ["p", "q", "r"]}
    domains[path] |= {"belief": {"value": value, "confidence": confidence}}
    return SearchSpace.model_validate(domains)


def test_a_belief_prefers_its_value_the_surer_the_more_and_fades() -> None:
    for path, value, far in (("x", 2, 6), ("word", "q", "r")):
        least = 0.0
        for confidence in ("low", "medium", "high"):
            space = believing(value, confidence, path)
            coding = Coding(space)
            beliefs = Beliefs(space, coding)
            at, away = coding.places([{path: value, "y": 1, "z": 1}, {path: far, "y": 1, "z": 1}])
            there, gone = beliefs.log_density(np.vstack((at, away)))
            assert there == 0 and gone < least and gone >= np.log(0.05) - 1e-9
            least = gone
    unused = coding.places([{"x": 1, "y": 1, "z": 1}])
    assert beliefs.log_density(unused) == 0, "nothing is believed of what is unused"
    assert [beliefs.weight(n) for n in (0, 1, 3, 30)] == [3, 3, 1, 0.1]
    assert not Beliefs(SearchSpace.model_validate({"x": {"values": [1, 2]}}), Coding(space))


def table_of(best: int) -> Table:
    """343 systems; the score falls with the distance of x from the best one, and rises with y and z."""
    rng = np.random.default_rng(3)
    systems = [
        System({"x": x, "y": y, "z": z}, 30 - 0.6 * (x - best) ** 2 - 0.3 * (y - 4) ** 2 + 0.4 * z + 0.1 * rng.normal())
        for x in range(7)
        for y in range(7)
        for z in range(7)
    ]
    return make_table("made", systems)


def until_found(belief: int | None, seeds: int = 8) -> float:
    """The mean number of whole runs until a score within 0.3 of the best, which has x = 1."""
    table, counts = table_of(1), []
    domains: dict[str, Any] = {path: {"values": list(range(7))} for path in "xyz"}
    if belief is not None:
        domains["x"] |= {"belief": {"value": belief, "confidence": "high"}}
    for seed in range(seeds):
        space = SearchSpace.model_validate(domains)
        sampler = DefaultSettings().make(Task(space, lambda params: params, seed))
        scores = evaluate(table, sampler, 1, Until(1, 60, table.best - 0.3))
        counts.append(len(scores))
    return float(np.mean(counts))


def test_a_right_belief_helps_and_a_wrong_one_costs_at_most_three_trials() -> None:
    none, right, wrong = until_found(None), until_found(1), until_found(6)
    assert right < none and wrong <= none + 3, (none, right, wrong)


def test_beliefs_are_for_samplers_that_use_them_and_change_no_trial_on_resume() -> None:
    believed = {**SPACE, "model.encoder_layers": {"values": [1, 2, 4], "belief": {"value": 4}}}
    assert "space.model.encoder_layers.belief: sampler tpe makes no use of it" in mistake(believed, sampler="tpe")
    wrong = {"model.encoder_layers": {"values": [1, 2], "belief": {"value": 3}}}
    assert "belief.value: 3 is not one of [1, 2]" in mistake(wrong)
    assert find_change(experiment(), experiment(believed)) == Change.GOES_ON
    _, second, *_ = proposed(SearchPlan(experiment(believed)), 2)
    assert second["model.encoder_layers"] == 4, "after the base"
    read = SearchSpace.model_validate({"x": {"min": 0.001, "max": 0.1, "belief": {"value": "1e-2"}}})
    assert read.domains["x"].belief is not None and read.domains["x"].belief.value == 0.01
    assert "belief" not in str(read.to_sweep())


# -- gains per second


@pytest.mark.parametrize(
    ("search", "is_weighed"),
    [
        ({"budget": {"gpu_hours": 9.0}}, True),
        ({"budget": {"dollars": 9.0, "price_per_gpu_hour": 2.0}}, True),
        ({"budget": {"epochs": 500}}, False),
        ({"budget": {"wall_hours": 9.0}, "sampler": {"per_second": False}}, False),
    ],
)
def test_a_gain_is_weighed_against_the_seconds_of_a_training_if_time_is_short(
    search: dict[str, Any], is_weighed: bool
) -> None:
    """A training takes 100 seconds for the square of its decoder layers, which the model learns."""
    layers = {"model.decoder_layers": {"values": [1, 2, 4]}, "model.encoder_layers": {"values": [1, 2, 4]}}
    plan, study = SearchPlan(experiment(layers, trials=None, **search)), Study(None, "search", "maximize")
    scores = {(1, 1): 20.0, (4, 1): 20.4, (1, 4): 20.45, (4, 4): 20.1, (2, 2): 20.2}
    for (encoder, decoder), score in scores.items():
        params: Params = {"model.decoder_layers": decoder, "model.encoder_layers": encoder}
        trial = study.add(params, plan.distributions)
        study.report(trial, 5, score)
        trial.device_seconds = 100.0 * decoder**2
        study.finish(trial, Outcome.COMPLETED)
    sampler = plan.sampler
    assert isinstance(sampler, ModelSampler)
    left: list[Params] = [{"model.decoder_layers": decoder, "model.encoder_layers": 2} for decoder in (1, 4)]
    places = sampler._coding.places(left)
    gain, _ = sampler._improvement(study)
    weighed = gain(places) - sampler._preferred(gain, study)(places)
    assert weighed == pytest.approx(np.log([100, 1600]) if is_weighed else [0, 0], abs=0.1)
    proposal = plan.propose(study)
    assert proposal is not None
    (expected,) = np.exp(gain(sampler._coding.places([proposal.params])))
    assert proposal.memory["gain"] == pytest.approx(expected * gather(study).scale), "in the metric's unit"


def test_every_valid_trial_of_a_grid_meets_the_conditions() -> None:
    space = {"model.encoder_layers": {"values": [1, 2, 4]}, "model.decoder_layers": {"values": [1, 2, 4]}}
    asked = experiment(space, where=["model.encoder_layers > model.decoder_layers"], sampler="grid", trials=None)
    assert len(list_all(Task(asked.space, asked.accept, 0))) == 3
