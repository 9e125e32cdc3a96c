import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.settings.experiment import Experiment
from search.space.domain import Domain
from search.space.space import Params, SearchSpace
from search.translation.preparation import tokenizer_variants
from trainables.base.outcomes import Outcome


def experiment(space: Mapping[str, object], **search: object) -> Experiment:
    return Experiment.model_validate({"space": space, "search": search})


def draw_all(study: Study, experiment: Experiment, most: int = 100) -> list[Params]:
    """Propose until the plan has no more, each trial completed with a made-up score."""
    plan = SearchPlan(experiment)
    drawn: list[Params] = []
    while len(drawn) < most and (proposal := plan.propose(study)) is not None:
        trial = study.add(proposal.params, plan.distributions)
        study.report(trial, 1, float(len(drawn) % 7))
        study.finish(trial, Outcome.COMPLETED)
        drawn.append(proposal.params)
    return drawn


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study.db", "search", "maximize")


@pytest.mark.parametrize(
    ("domain", "choices"),
    [
        ({"values": [1, 2, "a"]}, (1, 2, "a")),
        ({"min": 1, "max": 3}, (1, 2, 3)),
        ({"min": 0, "max": 1, "distribution": "q_uniform", "q": 0.25}, (0, 0.25, 0.5, 0.75, 1)),
        ({"min": 0, "max": 1, "distribution": "uniform"}, None),
        ({"min": 1e-4, "max": 1, "distribution": "log_uniform_values"}, None),
    ],
)
def test_a_domain_knows_its_values(domain: dict[str, object], choices: tuple[object, ...] | None) -> None:
    assert Domain.model_validate(domain).choices() == choices


def test_exponents_that_yaml_takes_for_text_are_numbers() -> None:
    assert Domain.model_validate({"values": ["1e-3", 2]}).values == (0.001, 2)


@pytest.mark.parametrize(
    "domain",
    [
        {"values": [1], "min": 1},
        {"values": [1, 1]},
        {"min": 0, "max": 1, "distribution": "log_uniform_values"},
        {"min": 0, "max": 1, "distribution": "q_uniform"},
        {"min": 0.5, "max": 2, "distribution": "int_uniform"},
        {"min": 0, "max": 1, "distribution": "categorical"},
        {"min": 0, "max": 1, "spread": 2},
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(domain: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Domain.model_validate(domain)


def test_the_size_of_a_space() -> None:
    space = SearchSpace.model_validate(
        {"model.d_model": {"values": [64, 128]}, "model.encoder_layers": {"min": 1, "max": 3}}
    )
    assert space.size() == 6
    assert SearchSpace.model_validate({"model.dropout": {"min": 0, "max": 0.5}}).size() == math.inf


@pytest.mark.parametrize("trials", [None, 20, 2])
def test_a_grid_is_every_valid_combination_once(trials: int | None, study: Study) -> None:
    space = {"model.d_model": {"values": [128, 192]}, "model.num_heads": {"values": [3, 8]}}
    drawn = draw_all(study, experiment(space, sampler="grid", trials=trials))
    combinations = [
        {"model.d_model": 128, "model.num_heads": 8},
        {"model.d_model": 192, "model.num_heads": 3},
        {"model.d_model": 192, "model.num_heads": 8},
    ]
    assert drawn == combinations[:trials]


VALUES = st.one_of(
    st.lists(st.integers(-50, 50), min_size=1, max_size=7, unique=True).map(lambda v: {"values": v}),
    st.lists(st.sampled_from(["a", "b", "c", None, True]), min_size=1, unique_by=repr).map(lambda v: {"values": v}),
    st.tuples(st.integers(0, 9), st.integers(10, 40)).map(lambda v: {"min": v[0], "max": v[1]}),
    st.just({"min": 0.001, "max": 2.0, "distribution": "log_uniform_values"}),
    st.just({"min": 0.1, "max": 0.7, "distribution": "q_uniform", "q": 0.2}),
)


@given(VALUES, st.floats(0, 1, exclude_max=True))
def test_a_value_is_at_its_place(domain: dict[str, object], unit: float) -> None:
    known = Domain.model_validate(domain)
    value = known.at(unit)
    assert 0 <= known.unit(value) <= 1
    assert known.near(known.unit(value)) == (pytest.approx(value) if isinstance(value, float) else value)
    if (choices := known.choices()) is not None:
        assert any(value is choice or value == choice for choice in choices)
        drawn = [known.at((i + 0.5) / 20 / len(choices)) for i in range(20 * len(choices))]
        assert all(drawn.count(choice) == 20 for choice in set(drawn)), "equal shares"


@pytest.mark.parametrize(
    "domain",
    [{"min": 1, "max": 10**12}, {"min": 1, "max": 2e9, "distribution": "q_uniform", "q": 1e-6}],
)
def test_a_space_too_large_to_list_is_sampled_but_no_grid(domain: dict[str, object], study: Study) -> None:
    space = {"training.warmup_steps": {"values": [1, 2]}, "training.learning_rate": domain}
    assert len(draw_all(study, experiment(space, sampler="random", trials=3))) == 3
    with pytest.raises(ValidationError, match=r"at most 100,000 combinations; the space has \de\+"):
        experiment(space, sampler="grid")


def test_a_budget_that_no_model_meets_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"no combination .* of at most 1,000 parameters"):
        experiment({"model.d_model": {"values": [64, 128]}}, max_parameters=1000)


def test_whole_numbers_are_drawn_where_both_ends_are_written_so() -> None:
    drawn = {type(Domain(min=low, max=high).at(0.37)) for low, high in ((1.0, 5.0), (1, 5.0), (1.0, 5))}
    assert drawn == {float} and type(Domain(min=1, max=5).at(0.37)) is int


@pytest.mark.parametrize(
    "domain",
    [
        {"min": 400, "max": 500},
        {"min": 400.0, "max": 500.0},
        {"min": 400, "max": 500, "distribution": "uniform"},
        {"min": 400, "max": 500, "distribution": "int_uniform"},
        {"min": 400, "max": 500, "q": 50, "distribution": "q_uniform"},
        {"min": 400, "max": 500, "distribution": "log_uniform_values"},
        {"min": 400, "max": 500, "q": 10.0, "distribution": "q_log_uniform_values"},
        {"values": [400, 500.0]},
    ],
)
@pytest.mark.parametrize("path", ["tokenizer.vocab_size", "model.max_length", "training.warmup_steps"])
def test_a_field_of_whole_numbers_takes_every_distribution(path: str, domain: dict[str, Any]) -> None:
    experiment = Experiment.model_validate({"space": {path: domain}, "search": {"trials": 3}})
    fitted = experiment.space.domains[path]
    for unit in (0.0, 0.21, 0.5, 0.99):
        value = fitted.near(fitted.unit(fitted.at(unit)))
        assert float(str(value)).is_integer() and experiment.trial.with_values({path: value})
    assert not fitted.values or experiment.space.size() == 2
    assert min(tokenizer.vocab_size for tokenizer in tokenizer_variants(experiment)) <= 8000


def test_a_field_of_whole_numbers_takes_no_half_ones() -> None:
    halves = {"min": 400, "max": 500, "q": 0.5, "distribution": "q_uniform"}
    with pytest.raises(ValidationError, match=r"tokenizer.vocab_size: takes only whole numbers; write min, max and q"):
        Experiment.model_validate({"space": {"tokenizer.vocab_size": halves}})


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("model.encoder_layers", [1, 1.0]),
        ("training.label_smoothing", [0, False]),
        ("training.label_smoothing", [0.1, 0.2, 0.1]),
        ("tokenizer.shared", [True, 1]),
    ],
)
def test_what_is_one_value_to_the_field_is_one_value(path: str, values: list[Any]) -> None:
    with pytest.raises(ValidationError, match=r"holds a value twice|are one value here; drop one of them"):
        Experiment.model_validate({"space": {path: {"values": values}}})


def test_one_and_one_point_zero_make_one_configuration() -> None:
    assert SearchSpace.key({"a": 1, "b": "x"}) == SearchSpace.key({"b": "x", "a": 1.0})
    assert SearchSpace.key({"a": 1}) != SearchSpace.key({"a": True}) != SearchSpace.key({"a": "1"})
    assert Domain(values=(1, 2.0, 4)).unit(2) == Domain(values=(1, 2.0, 4)).unit(2.0) == 0.5
