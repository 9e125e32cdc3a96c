import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from search.experiment import Experiment
from search.proposals import make_plan
from search.space import Domain, Params, SearchSpace
from search.study import Study


def experiment(space: Mapping[str, object], **search: object) -> Experiment:
    return Experiment.model_validate({"space": space, "search": search})


def draw_all(study: Study, experiment: Experiment, most: int = 100) -> list[Params]:
    """Propose until the plan has no more, each trial completed with a made-up score."""
    plan = make_plan(experiment)
    drawn: list[Params] = []
    while len(drawn) < most and (params := plan.propose(study)) is not None:
        trial = study.add(params, plan.distributions)
        study.report(trial, 1, float(len(drawn) % 7))
        study.finish(trial, "completed")
        drawn.append(params)
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


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_propose_each_valid_configuration_once_while_one_is_left(sampler: str, study: Study) -> None:
    space = {
        "model.d_model": {"values": [96, 128, 192]},
        "model.num_heads": {"values": [3, 8, 32]},
        "model.dropout": {"values": [0, 0.1]},
    }
    drawn = draw_all(study, experiment(space, sampler=sampler, trials=50))
    assert len(drawn) == len({repr(params) for params in drawn}) == 16  # 128 and 3 don't go together


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_proposal_follows_from_seed_number_and_history(sampler: str, tmp_path: Path) -> None:
    space = {
        "model.dropout": {"min": 0, "max": 0.5},
        "training.learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"},
    }
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        study = Study(tmp_path / name, "search", "maximize")
        runs.append(draw_all(study, experiment(space, sampler=sampler, trials=12, seed=seed)))
    assert runs[0] == runs[1] != runs[2]


def test_tpe_learns_where_scores_are_high(study: Study) -> None:
    space = {"model.dropout": {"min": 0.0, "max": 0.9}}
    searched = experiment(space, trials=40)
    plan = make_plan(searched)
    for _ in range(40):
        params = plan.propose(study)
        assert params is not None
        trial = study.add(params, plan.distributions)
        study.report(trial, 1, -abs(float(str(params["model.dropout"])) - 0.3))
        study.finish(trial, "completed")
    late = [float(str(study.trials[n].params["model.dropout"])) for n in range(25, 40)]
    assert sum(abs(value - 0.3) for value in late) / len(late) < 0.16  # 0.26 by chance


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_a_model_above_the_budget_is_never_proposed(sampler: str, study: Study) -> None:
    space = {"model.d_model": {"values": [64, 128, 256, 512]}, "model.encoder_layers": {"min": 1, "max": 6}}
    searched = experiment(space, sampler=sampler, trials=24, max_parameters=3_000_000)
    sizes = [make_plan(searched).config(params).num_parameters for params in draw_all(study, searched)]
    fitting = [params for params in searched.space.grid() if searched.configure(params)]
    assert 0 < len(sizes) == len(fitting) < 24
    assert max(sizes) <= 3_000_000


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
