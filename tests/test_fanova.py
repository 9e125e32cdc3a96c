"""Functional ANOVA gives the numbers of Optuna, which walks the trees."""

from itertools import product
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from search.effects.fanova import SEED, fanova
from search.record.quiet_optuna import quiet_optuna
from search.space.space import Params, SearchSpace

SPACE = SearchSpace.model_validate(
    {
        "model.positions": {"values": ["sinusoidal", "rotary", "t5", "alibi", "none"]},
        "model.encoder_layers": {"min": 1, "max": 6},
        "model.dropout": {"values": [0.0, 0.1]},
        "model.activation": {"values": ["relu"]},
        "training.learning_rate": {"min": 0.0003, "max": 0.005, "distribution": "log_uniform_values"},
        "training.label_smoothing": {"min": 0.0, "max": 0.3},
        "model.max_distance": {"values": [8, 16]},
    }
)


@quiet_optuna()
def by_optuna(configurations: list[Params], scores: np.ndarray) -> dict[str, float]:
    distributions = SPACE.to_optuna()
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        create_trial(params=params, distributions={path: distributions[path] for path in params}, value=float(score))
        for params, score in zip(configurations, scores, strict=True)
    )
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))


def drawn(rng: np.random.Generator, trials: int) -> list[Params]:
    """Configurations of which only some use max_distance."""
    found: list[Params] = [{path: d.at(rng.random()) for path, d in SPACE.domains.items()} for _ in range(trials)]
    for params in found[::3]:
        del params["model.max_distance"]
    return found


@given(st.integers(0, 2**32 - 1), st.integers(4, 60), st.sampled_from(["smooth", "few", "one"]))
@settings(max_examples=8, deadline=None)
def test_the_shares_are_those_of_optuna(seed: int, trials: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    configurations = drawn(rng, trials)

    def score(params: dict[str, Any]) -> float:
        if kind == "one":
            return float(params["model.positions"] == "rotary")
        rate = float(np.log(params["training.learning_rate"]))
        value = rate * params["model.encoder_layers"] + 5 * (params["model.positions"] == "t5") + float(rng.normal())
        return round(value / 4) if kind == "few" else value

    scores = np.array([score(params) for params in configurations])
    if not np.ptp(scores):
        scores[0] += 1
    found, expected = fanova(SPACE.to_optuna(), configurations, scores), by_optuna(configurations, scores)
    assert set(found) == set(expected) and "model.max_distance" not in found
    assert found == pytest.approx(expected, abs=1e-9)
    assert found["model.activation"] == 0.0 and sum(found.values()) == pytest.approx(1)


def test_two_settings_that_work_apart_share_by_their_variance() -> None:
    """On a grid without noise: 3 and 1 are 9 to 1."""
    paths = ("model.dropout", "training.label_smoothing")
    space = SearchSpace.model_validate({path: {"values": [0.0, 0.1]} for path in paths})
    cells: list[Params] = [{paths[0]: a, paths[1]: b} for a, b in product((0.0, 0.1), repeat=2)]
    grid = cells * 20
    scores = np.array([3 * (p[paths[0]] == 0.1) + 1 * (p[paths[1]] == 0.1) for p in grid], dtype=float)
    assert fanova(space.to_optuna(), grid, scores) == pytest.approx({paths[0]: 0.9, paths[1]: 0.1}, abs=0.03)


def test_scores_that_do_not_differ_have_no_shares() -> None:
    configurations = drawn(np.random.default_rng(0), 12)
    assert set(fanova(SPACE.to_optuna(), configurations, np.ones(12)).values()) == {0.0}
