"""W&B's grammar of sweeps: each form is read or refused, and a whole file becomes a search."""

import math
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.run import main
from search.samplers import SAMPLERS
from search.samplers.coding import Coding
from search.settings.experiment import Experiment
from search.settings.sweep_file import _map, read_sweep
from search.space.domain import Domain
from search.space.space import SearchSpace
from trainables.base.config import flatten
from trainables.base.errors import UserError

RATE = "training.learning_rate"
SWEEP: dict[str, Any] = {
    "program": "train.py",
    "method": "bayes",
    "metric": {"name": "valid_bleu", "goal": "maximize"},
    "run_cap": 7,
    "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2},
    "parameters": {
        "training": {"parameters": {"learning_rate": {"distribution": "log_uniform", "min": -7, "max": -5}}},
        "training.epochs": {"value": 12},
        "model.dropout": {"values": [0.0, 0.1], "probabilities": [0.25, 0.75]},
    },
}


@given(st.floats(-30, 30), st.floats(0.01, 10))
def test_ranges_over_exponents_are_ranges_over_values(low: float, width: float) -> None:
    high = low + width
    for distribution, ends in (("log_uniform", (low, high)), ("inv_log_uniform", (-high, -low))):
        domain = Domain.model_validate({"distribution": distribution, "min": low, "max": high})
        assert domain.distribution == "log_uniform_values"
        assert [domain.min, domain.max] == pytest.approx([math.exp(end) for end in ends])


@pytest.mark.parametrize(
    ("form", "instead"),
    [
        ({"distribution": "normal", "mu": 0.3, "sigma": 0.1}, "{min: 0.1, max: 0.5, distribution: uniform}"),
        ({"distribution": "log_normal", "mu": 0, "sigma": 1}, "{min: 0.135, max: 7.39, distribution: log_uniform_va"),
        ({"distribution": "q_normal", "mu": 8, "sigma": 2, "q": 2}, "{min: 4, max: 12, distribution: q_uniform, q: 2}"),
        ({"distribution": "beta", "a": 1, "b": 2}, "{min: LOW, max: HIGH}"),
        ({"distribution": "int_uniform", "min": 1, "max": 9, "q": 2}, "write distribution: q_uniform"),
        ({"value": 3}, "set the key outside of space"),
        ({"distribution": "log_uniform", "min": 1e-4, "max": 1e4}, "write distribution: log_uniform_values"),
        ({"distribution": "log_uniform", "min": "a", "max": 2}, "needs min and max"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "add up to 1, not to 1.1"),
        ({"values": [1, 2], "probabilities": [1.0]}, "1 for 2 values"),
        ({"min": 1, "max": 2, "probabilities": [1.0]}, "belong to values"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(form: dict[str, Any], instead: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Domain.model_validate(form)
    assert instead in str(caught.value)


JUNK = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)
)
NAMES = ("value", "values", "min", "max", "q", "mu", "sigma", "distribution", "probabilities", "parameters")
WORDS = st.sampled_from(("normal", "log_normal", "constant", "q_log_uniform", "inv_log_uniform", "beta", "uniform"))


@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(JUNK, WORDS), max_size=5))
def test_rubbish_is_read_or_refused(form: dict[str, Any]) -> None:
    with suppress(ValidationError):
        SearchSpace.model_validate({"a": form})
    for key in ("method", "metric", "early_terminate", "run_cap", "parameters"):
        for value in form.values():
            with suppress(ValueError):
                keys: dict[str, Any] = {}
                list(_map({**SWEEP, key: value}, keys, 5))


def test_draws_follow_the_probabilities() -> None:
    domain = Domain.model_validate({"values": [64, 16, 32], "probabilities": [0.1, 0.6, 0.3]})
    rng = random.Random(1)
    drawn = Counter(domain.at(rng.random()) for _ in range(4000))
    space = SearchSpace({"a": domain})
    coding = Coding(space)
    places = coding.draw(np.random.default_rng(1).random((4000, 1)))
    coded = Counter(coding.params(place)["a"] for place in places)
    for counted in (drawn, coded):
        assert [counted[value] / 4000 for value in (64, 16, 32)] == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    assert [domain.near(domain.unit(value)) for value in (64, 16, 32)] == [64, 16, 32]


def test_samplers_of_optuna_say_that_they_ignore_probabilities() -> None:
    space = {"model.dropout": {"values": [0.0, 0.1], "probabilities": [0.25, 0.75]}}
    for kind in SAMPLERS:
        if kind in ("tpe", "gp", "cmaes", "nsga2"):
            with pytest.raises(ValidationError, match="has probabilities"):
                Experiment.model_validate({"space": space, "search": {"sampler": kind}})
        else:
            Experiment.model_validate({"space": space, "search": {"sampler": kind}})


def test_nested_parameters_and_constants() -> None:
    experiment = Experiment.model_validate({"space": SWEEP["parameters"]})
    assert list(experiment.space.domains) == [RATE, "model.dropout"]
    assert experiment.training.epochs == 12
    for space, message in (
        ({**SWEEP["parameters"], RATE: {"values": [1e-3]}}, "is given twice"),
        ({"model": {"parameters": {}, "value": 3}}, "beside parameters"),
        ({"model.dropout": {"value": 3, "min": 1}}, "beside value"),
    ):
        with pytest.raises(ValidationError, match=message):
            Experiment.model_validate({"space": space})
    with pytest.raises(ValidationError, match="drop one"):
        Experiment.model_validate({"space": SWEEP["parameters"], "training": {"epochs": 3}})


@pytest.mark.parametrize(
    "form",
    [
        {"values": [1, 2, None, "a"]},
        {"values": [1, 2], "probabilities": [0.5, 0.5]},
        {"min": 1, "max": 5},
        {"min": 0.5, "max": 5},
        {"min": 0, "max": 4, "q": 2},
        {"min": 0.0, "max": 1, "q": 0.25, "distribution": "uniform"},
        {"min": 1, "max": 4, "q": 0.5, "distribution": "q_log_uniform_values"},
    ],
)
def test_a_space_that_is_written_as_a_sweep_is_read_as_itself(form: dict[str, Any]) -> None:
    written = SearchSpace.model_validate({"a": form}).to_sweep()["a"]
    read, domain = Domain.model_validate(written), Domain.model_validate(form)
    assert [read.at(unit / 7) for unit in range(7)] == [domain.at(unit / 7) for unit in range(7)]
    # W&B takes no key beside those that belong to a distribution, and a step only with one that has steps.
    assert ("q" in written) == str(written.get("distribution", "")).startswith("q_")
    assert "values" in written or "distribution" in written


def write(folder: Path, **changes: Any) -> Path:
    """SWEEP with changes as a file; None leaves a key out."""
    file = folder / "sweep.yaml"
    tree = {key: value for key, value in {**SWEEP, **changes}.items() if value is not None}
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


def test_a_whole_sweep_becomes_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweep", str(write(tmp_path)), "--model.dropout", "0.1", "--print_config"]) == 0
    experiment = Experiment.model_validate(yaml.safe_load(capsys.readouterr().out))
    search = experiment.search
    assert (search.trials, search.metric, search.sampler.kind) == (7, "valid_bleu", "default")
    assert (search.scheduler.kind, experiment.rungs) == ("asha", (2, 4, 8))
    assert (experiment.training.epochs, flatten(experiment.as_given.model_dump())["model.dropout"]) == (12, 0.1)
    assert sorted(experiment.space.domains) == ["model.dropout", RATE]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": None}, "parameters: missing"),
        ({"method": "tpe"}, "method: 'tpe' has no counterpart; use one of grid, random, bayes"),
        ({"metod": "grid"}, "metod: unknown key of a sweep; did you mean method?"),
        ({"metric": {"name": "valid_bleu", "goal": "max"}}, "metric.goal: 'max' must be one of"),
        ({"early_terminate": {"type": "envelope"}}, "early_terminate.type: 'envelope' has no counterpart"),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate.min_iter: missing"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1.5}}, "early_terminate.min_iter: 1.5 is not a whole"),
        (
            {"early_terminate": {"type": "hyperband", "min_iter": 40}},
            "early_terminate: its first bracket is not before the last",
        ),
        ({"parameters": [1]}, "parameters: must have keys and values"),
    ],
)
def test_a_sweep_without_counterpart_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"sweep\.yaml: {message}"):
        read_sweep(write(tmp_path, **changes), {})


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    told = "\n".join(read_sweep(write(tmp_path, name="mine", early_terminate=None), {}).remarks)
    assert "program has no counterpart" in told and "name has no counterpart: --name" in told
    assert "without early_terminate each trial trains to its end" in told
    sweep = read_sweep(write(tmp_path, metric={"name": "valid_bleu", "goal": "minimize"}), {})
    with pytest.raises(UserError, match=r"metric\.goal: minimize, but valid_bleu is to maximize"):
        sweep.check_goal(Experiment.model_validate({}))
