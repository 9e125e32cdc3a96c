"""What the samplers compute, against formulas and brute force; nothing is searched, so this is fast."""

import itertools
import math
import string
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from optuna.samplers import TPESampler
from scipy.stats import multivariate_normal, norm, qmc
from test_evidence import COMPLETED, RANGE, Told
from test_samplers import experiment

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Prior, Task, base, candidates, design, gaussian_process
from search.samplers.base import distinct, list_all
from search.samplers.coding import Coding
from search.samplers.default import ModelSampler
from search.samplers.design import balanced_design
from search.samplers.enumeration import GridSettings, QuasiRandomSettings
from search.samplers.evidence import gather
from search.samplers.gaussian_process import GaussianProcess
from search.samplers.optuna_samplers import OptunaSampler
from search.space.domain import Scalar
from search.space.space import Params, SearchSpace
from trainables.base.outcomes import Outcome

MIXED: dict[str, Any] = {
    "model.d_model": {"values": [256, 64, 128]},
    "model.activation": {"values": ["relu", "gelu", "swiglu"]},
    "model.tied": {"values": [False, True]},
    "model.dropout": {"min": 0.0, "max": 0.8},
    "training.warmup_steps": {"min": 10, "max": 14},
}


def task_of(space: dict[str, Any], seed: int = 0) -> Task:
    return Task(SearchSpace.model_validate(space), lambda params: params, seed)


def add(study: Study, space: dict[str, Any], params: Params) -> StudyTrial:
    return study.add(params, SearchSpace.model_validate(space).to_optuna())


def model_sampler(space: dict[str, Any] = RANGE, prior: Prior | None = None, **search: Any) -> ModelSampler:
    sampler = SearchPlan(experiment("default", space, **search), prior).sampler
    assert isinstance(sampler, ModelSampler)
    return sampler


# -- configurations as numbers


def test_a_configuration_has_a_place_for_each_hyperparameter_and_a_column_for_each_word() -> None:
    coding = Coding(SearchSpace.model_validate(MIXED))
    found: list[Params] = [
        {"model.d_model": 128, "model.activation": "swiglu", "model.tied": True, "model.dropout": 0.2},
        {"model.d_model": 256, "model.activation": "gelu", "training.warmup_steps": 11},
    ]
    places, nan = coding.places(found), math.nan
    np.testing.assert_allclose(places, [[0.5, 1, 1, 0.25, nan], [1, 0.5, nan, nan, 0.25]])
    assert coding.owners.tolist() == [0, 1, 1, 1, 2, 3, 4]
    far = 1 / math.sqrt(2)
    np.testing.assert_allclose(coding.columns(places), [[0.5, 0, 0, far, 1, 0.25, 0.5], [1, 0, far, 0, 0.5, 0.5, 0.25]])
    assert [coding.params(row) for row in places] == found
    assert coding.places([]).shape == (0, 5) and coding.columns(np.zeros((0, 5))).shape == (0, 7)
    nothing = Coding(SearchSpace({}))
    assert nothing.columns(np.zeros((3, 0))).shape == (3, 0) and nothing.owners.tolist() == []


def test_uniform_draws_give_each_value_of_a_list_an_equal_share_of_the_unit() -> None:
    space = {"one": {"values": [5]}, **MIXED}
    for uniform, lists in ((0.0, (0, 0, 0, 0)), (0.34, (0.5, 0.5, 0, 0.25)), (0.999, (1, 1, 1, 1))):
        (drawn,) = Coding(SearchSpace.model_validate(space)).draw(np.full((1, 6), uniform))
        np.testing.assert_allclose(drawn, [0, *lists[:3], uniform, lists[3]])


# -- sequences


def test_draws_come_once_and_what_is_left_of_a_finite_space_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many draws in vain as are allowed, one after the other."""
    monkeypatch.setattr(base, "VAIN_DRAWS", 3)
    space = SearchSpace.model_validate({"letter": {"values": list(string.ascii_lowercase[:6])}})
    task = Task(space, lambda params: None if params["letter"] == "f" else params, 0)
    asked = []

    def draws(letters: str) -> Iterator[Params]:
        for letter in letters:
            asked.append(letter)
            yield {"letter": letter}

    found = [str(params["letter"]) for params in distinct(task, draws("aababfccccbde"), np.random.default_rng(0))]
    assert "".join(asked) == "aababf", "what is new starts the count again; what is refused is in vain"
    assert found[:2] == ["a", "b"] and sorted(found) == list("abcde")
    orders = {
        "".join(str(p["letter"]) for p in distinct(task, draws("aaaa"), np.random.default_rng(seed)))
        for seed in range(9)
    }
    assert len(orders) > 4 and all(order[0] == "a" for order in orders), "what is left comes in a random order"
    monkeypatch.setattr(base, "LARGEST_GRID", 5)
    assert [params["letter"] for params in distinct(task, draws("aabaab"), np.random.default_rng(0))] == ["a", "b"]
    monkeypatch.setattr(base, "LARGEST_GRID", 6)
    assert len(list(distinct(task, draws("a"), np.random.default_rng(0)))) == 5, "a space as large as a grid may be"


def test_a_grid_and_a_sobol_sequence_come_in_their_order() -> None:
    space: dict[str, Any] = {"a": {"values": [1, 2]}, "b": {"min": 3, "max": 5}, "c": {"values": ["x", "y"]}}
    every = [dict(zip("abc", row, strict=True)) for row in itertools.product([1, 2], [3, 4, 5], "xy")]
    assert list_all(task_of(space)) == every
    study, sampler, found = Study(None, "s", "maximize"), GridSettings().make(task_of(space)), []
    for _ in every:
        proposal = sampler.propose(study)
        assert proposal is not None
        found.append(add(study, space, proposal.params).params)
    assert found == every and sampler.propose(study) is None
    ranges = {"a": {"min": 0.0, "max": 1.0}, "b": {"min": 0.0, "max": 2.0}}
    points = qmc.Sobol(2, rng=np.random.default_rng(7)).random(8) * [1, 2]
    sampler = QuasiRandomSettings().make(task_of(ranges, seed=7))
    for point in points:
        proposal = sampler.propose(study)
        assert proposal is not None
        assert list(proposal.params.values()) == pytest.approx(point)
        assert sampler.propose(study) == proposal, "asking changes nothing"
        add(study, ranges, proposal.params)


# -- the design of the start


def test_the_most_balanced_of_many_sets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By spread, correlation and distance, summed up here value by value."""
    monkeypatch.setattr(design, "SETS", 60)
    space = {name: MIXED[name] for name in ("model.dropout", "training.warmup_steps", "model.d_model")}
    widths: dict[Scalar, float] = {64: 0.0, 128: 0.5, 256: 1.0, None: 0.5}  # None: unused
    draws = np.random.default_rng(1)
    for count, seed in ((3, 0), (4, 1), (5, 2)):
        task = task_of(space, seed)
        pool = [{path: domain.at(draws.random()) for path, domain in task.space.domains.items()} for _ in range(40)]
        pool[:5] = [{path: value for path, value in params.items() if path != "model.d_model"} for params in pool[:5]]
        points = np.array(
            [
                [
                    float(str(params["model.dropout"])) / 0.8,
                    (float(str(params["training.warmup_steps"])) - 10) / 4,
                    widths[params.get("model.d_model")],
                ]
                for params in pool
            ]
        )

        def unbalanced(rows: np.ndarray, points: np.ndarray = points, count: int = count) -> float:
            chosen = points[rows]
            spread = np.mean([
                abs(value - (rank + 0.5) / count) for column in chosen.T for rank, value in enumerate(sorted(column))
            ])  # fmt: skip
            pairs = itertools.permutations(chosen.T - 0.5, 2)
            correlated = sum(float(one @ other / count) ** 2 for one, other in pairs)
            apart = min(math.dist(one, other) for one, other in itertools.combinations(chosen, 2))
            return float(spread + 2 * correlated - 0.15 * apart)

        rng = np.random.default_rng([seed, 4])
        sets = [rng.choice(40, count, replace=False) for _ in range(60)]
        best = min(sets, key=unbalanced)
        assert balanced_design(task, count, pool) == [pool[row] for row in best]
        assert balanced_design(task, 40, pool) == balanced_design(task, 41, pool) == pool, "all there are"
    assert len(design.draw_pool(task, draws)) == design.POOL


# -- the Gaussian process


def test_the_loss_is_the_posterior_density_of_the_parameters() -> None:
    """The likelihood of the scores and the priors of the parameters, by SciPy's densities."""
    rng = np.random.default_rng(0)
    points, scores, noise = rng.random((7, 3)), rng.normal(size=7), rng.random(7) / 5
    model = GaussianProcess(points, scores, noise, np.array([0, 1, 1]))
    mean, spread = gaussian_process.SHARES
    priors = [(mean - math.log(2), spread)] * 2 + [(0.15, 0.4), (-4.2, 1.0), (0.0, 1.0)]
    apart = np.array([[[np.linalg.norm((a - b)[c]) for b in points] for a in points] for c in ([0], [1, 2])])
    losses = []
    for at in np.array([0.3, -0.2, 0.1, -2.0, 0.4]), np.array([-1.0, 0.8, 0.5, -4.0, -0.3]):
        lengthscale, common, signal = np.exp(at[2:])

        def matern(distance: Any, lengthscale: float = lengthscale) -> Any:
            root = math.sqrt(5) * distance / lengthscale
            return (1 + root + root * root / 3) * np.exp(-root)

        unlike = (1 - matern(apart)) / (1 - matern(1.0))
        kernel = signal * np.prod([1 - unlike[i] / (1 + math.exp(-at[i])) for i in (0, 1)], axis=0)
        covariance = kernel + np.diag(common + noise + gaussian_process.JITTER)
        likelihood = multivariate_normal.logpdf(scores, np.zeros(7), covariance) + 3.5 * math.log(2 * math.pi)
        density = sum((value - mean) ** 2 / spread**2 / 2 for value, (mean, spread) in zip(at, priors, strict=True))
        pairs = apart[:, *np.triu_indices(7, 1)]
        losses.append(model._loss(at, pairs, scores, noise)[0])
        assert losses[-1] == pytest.approx(density - likelihood)
    fitted = model._loss(model._parameters, pairs, scores, noise)
    assert fitted[0] < min(losses) and np.abs(fitted[1]).max() < 0.02, "the most probable ones"


def test_a_prediction_takes_the_known_noise_of_each_score_into_account() -> None:
    """Before and after a belief: a score that is believed has no noise of its own."""
    rng = np.random.default_rng(3)
    points, noise = rng.random((9, 1)), rng.random(9)
    scores = points[:, 0] * 2 - 1
    model = GaussianProcess(points, scores, noise, np.array([0]))
    at, signal = rng.random((4, 1)), math.exp(model._parameters[-1])
    for extra in (noise, np.append(noise, [0.0, 0.0])):
        if len(extra) > 9:
            new = np.array([[0.2], [0.7]])
            scores, points = np.append(scores, model.predict(new)[0]), np.vstack((points, new))
            model = model.believing(new)
        covariance = model._kernel(points, points) + np.diag(model.noise**2 + gaussian_process.JITTER + extra)
        cross = model._kernel(at, points)
        mean, deviation = model.predict(at)
        assert mean == pytest.approx(cross @ np.linalg.solve(covariance, scores))
        assert deviation**2 == pytest.approx(signal - np.diag(cross @ np.linalg.solve(covariance, cross.T)))
    assert model.believing(np.zeros((0, 1))) is model and len(model._points) == 11
    (far,) = model._kernel(np.array([[0.0]]), np.array([[1.0]]))[0]
    assert far == pytest.approx(signal * (1 - 1 / (1 + math.exp(-model._parameters[0])))), "opposite ends"


def test_a_kernel_that_is_slightly_indefinite_gets_more_noise_and_no_other_does() -> None:
    """As it is with a long lengthscale, full shares and many running trials."""
    rng = np.random.default_rng(0)
    points, scores = rng.random((12, 3)), rng.normal(size=12)
    model = GaussianProcess(points, scores, np.zeros(12), np.arange(3))
    definite = np.cov(rng.normal(size=(5, 50)))
    assert (gaussian_process._factor(definite) == np.linalg.cholesky(definite)).all()
    model._parameters = np.array([6.0, 6.0, 6.0, 2.0, -14.0, 0.0])
    many = rng.random((80, 3))
    covariance = model._kernel(many, many)
    assert np.linalg.eigvalsh(covariance).min() < -1e-3, "or this shows nothing"
    model._condition(many, many[:, 0], np.zeros(80))
    mean, deviation = model.predict(rng.random((5, 3)))
    assert np.isfinite(mean).all() and (deviation > 0).all()


# -- the model's proposals


def test_what_is_expected_is_the_improvement_on_the_best_that_the_model_believes_in() -> None:
    """With a prior and running trials, and with neither."""
    rising = Prior(SearchSpace.model_validate(RANGE), [[({"model.dropout": x}, x) for x in np.linspace(0, 0.9, 30)]])
    at = np.linspace(0, 1, 7)[:, None]
    for prior, pending in ((None, []), (rising, []), (rising, [0.5])):
        told = Told("maximize")
        for place, merit in ((0.0, 3.0), (0.2, 5.0), (0.4, 4.0), (0.8, 6.0)):
            told.trial(place, merit / 2, merit, outcome=COMPLETED)
        told.trial(0.7, 2.0)
        for place in pending:
            told.trial(place)
        found = gather(told.study)
        places = np.array([[float(str(params["model.dropout"])) / 0.9] for params in found.configurations])
        done = found.lead == 0
        assert done.sum() == 4 and (found.lead[~done] == 0.5).all()
        expected = prior.mean(places[done], found.scores[done]) if prior else lambda at: np.zeros(len(at))
        assert prior is None or np.ptp(expected(at)) > 0.5
        columns = np.column_stack((places, found.lead))
        model = GaussianProcess(columns, found.scores - expected(places), found.noise, np.array([0, 1]))
        best = max(model.predict(np.column_stack((places, 0 * places)))[0] + expected(places))
        if pending:
            model = model.believing(np.array([[0.5 / 0.9, 0.0]]))
        mean, deviation = model.predict(np.column_stack((at, 0 * at)))
        u = (mean + expected(at) - best) / deviation
        value, noise = model_sampler(prior=prior)._improvement(told.study)
        assert value(at) == pytest.approx(np.log(deviation * (norm.pdf(u) + u * norm.cdf(u))), rel=1e-4, abs=1e-4)
        assert noise == model.noise


def test_points_are_moved_a_little_or_altogether_in_one_hyperparameter_or_a_few() -> None:
    space = {f"x{i}": {"min": 0.0, "max": 1.0} for i in range(8)}
    sampler = ModelSampler(task_of(space), 1)
    parents = np.vstack((np.full((40, 8), 0.5), np.full((40, 8), 0.99), np.full((40, 8), math.nan)))
    moved = sampler._candidates._moved(parents, np.random.default_rng(0)).reshape(120, candidates.CHILDREN, 8)
    assert ((moved >= 0) & (moved <= 1)).all(), "what was unused has a value, and none leaves its range"
    changed = (moved[:40] != 0.5).sum(-1).ravel()
    assert changed.mean() == pytest.approx(7 / 3, abs=0.15), "1, 2 or 4 of 8, each as often"
    assert changed.var() == pytest.approx(14 / 9 + (7 / 8 + 2 * 6 / 8 + 4 * 4 / 8) / 3, rel=0.15)
    away = np.abs(moved[:40] - 0.5)
    away = away[away > 0]
    assert (away < 0.1).mean() == pytest.approx((0.683 + 0.2) / 2, abs=0.03), "half by a normal deviation of 0.1"
    assert (away > 0.35).mean() == pytest.approx(0.3 / 2, abs=0.03), "half to anywhere"
    assert moved[80:].mean() == pytest.approx(0.5, abs=0.01) and moved[80:].std() == pytest.approx(0.2887, abs=0.01)


def test_what_is_nearly_the_same_as_a_trial_is_none_worth_trying() -> None:
    """Within a fiftieth of the span in every hyperparameter."""
    space: dict[str, Any] = {**RANGE, "training.label_smoothing": {"min": 0.0, "max": 0.9}}
    sampler = model_sampler(space)
    tried = np.array([[0.5, 0.5], [0.1, 0.9]])
    points = np.array([[0.515, 0.485], [0.5, 0.521], [0.479, 0.5], [0.1, 0.5], [0.081, 0.919], [0.081, 0.921]])
    known = {SearchSpace.key(Coding(SearchSpace.model_validate(space)).params(points[3]))}
    found = [list(params.values()) for params in sampler._candidates._trials(points, tried, known)]
    assert np.array(found) / 0.9 == pytest.approx(points[[1, 2, 5]])


def test_the_search_of_a_large_space_comes_near_the_most_valuable_point() -> None:
    space = {f"x{i}": {"min": 0.0, "max": 1.0} for i in range(4)}
    sampler, told = ModelSampler(task_of(space), 1), Study(None, "s", "maximize")
    trial = add(told, space, {f"x{i}": 0.5 for i in range(4)})
    told.report(trial, 1, 1.0)
    told.finish(trial, COMPLETED)
    top = np.array([0.81, 0.13, 0.64, 0.97])
    asked = []

    def value(points: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        return -((points - top) ** 2).sum(1)

    found = sampler._candidates.search(value, gather(told), told, told.known, np.random.default_rng(0))
    points = np.array([list(params.values()) for params in found])
    assert np.abs(points - top).max(1).min() < 0.1
    assert asked[0] == candidates.CANDIDATES + candidates.CHILDREN, "draws, and children of the only incumbent"
    assert candidates.SHORTLIST <= len(found) <= candidates.ROUNDS * candidates.SHORTLIST
    assert np.sort(value(points))[-10:].min() > -0.015, "the search goes on from the best found: -0.04 without"


def test_while_nothing_is_known_the_farthest_of_some_draws_is_taken() -> None:
    sampler, told = model_sampler(), Told("maximize")
    told.trial(0.0)
    told.trial(0.9)
    for seed in range(5):
        proposal = sampler._candidates.apart(told.study, np.random.default_rng(seed))
        assert proposal is not None
        assert float(str(proposal.params["model.dropout"])) == pytest.approx(0.45, abs=0.06)


# -- Optuna's samplers


def test_optuna_sees_places_and_ranks() -> None:
    sampler = OptunaSampler(task_of(MIXED), lambda seed: TPESampler(seed=seed))
    study = Study(None, "s", "maximize")
    params: Params = {
        "model.d_model": 256,
        "model.activation": "gelu",
        "model.tied": True,
        "model.dropout": 0.2,
        "training.warmup_steps": 13,
    }
    coded = {"model.d_model": 2, "model.activation": 1, "model.tied": 1, "model.dropout": 0.25}
    frozen = sampler._frozen(study, add(study, MIXED, params))
    assert frozen.params == coded | {"training.warmup_steps": 3}
    assert sampler._decoded(frozen.params) == params
    middle = sampler._frozen(study, add(study, MIXED, {})).params
    assert middle == {
        "model.d_model": 1,
        "model.activation": 1,
        "model.tied": 0,
        "model.dropout": 0.5,
        "training.warmup_steps": 2,
    }
    ranges = {path: repr(kind) for path, kind in sampler._distributions.items()}
    assert ranges["model.dropout"].startswith("FloatDistribution(high=1.0, log=False, low=0.0")
    assert ranges["model.d_model"].startswith("IntDistribution(high=2, log=False, low=0")
    assert ranges["training.warmup_steps"].startswith("IntDistribution(high=4, log=False, low=0")
    assert ranges["model.activation"] == "CategoricalDistribution(choices=(0, 1, 2))"
    assert ranges["model.tied"] == "CategoricalDistribution(choices=(0, 1))"
    bare = OptunaSampler(task_of(MIXED), lambda seed: TPESampler(seed=seed), fill=False)
    assert bare._frozen(study, add(study, MIXED, {"model.dropout": 0.4})).params == {"model.dropout": 0.5}


# -- the chance to end as the best


def test_the_chance_of_a_trial_is_that_of_its_measured_final_score_under_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler, study = model_sampler(), Study(None, "search", "maximize")
    rates = [0.1 * n for n in range(6)]
    for number, rate in enumerate(rates[:5]):
        trial = add(study, RANGE, {"model.dropout": rate})
        study.report(trial, 1, 10.0 + number)
        if number == 3:
            assert sampler.chance_of_best(study, [trial]) is None, "three have finished"
        if number < 4:
            study.report(trial, 2, 20.0 + number)
            study.finish(trial, Outcome.COMPLETED)
    fits: list[Any] = []
    monkeypatch.setattr(gaussian_process.GaussianProcess, "_fit", spy(fits, gaussian_process.GaussianProcess._fit))
    found = sampler.chance_of_best(study, [study.trials[4]])
    assert found is not None
    (chance,) = found
    assert sampler.propose(study) is not None and len(fits) == 1, "both have one fit"
    evidence, scores = sampler._learnt(study)
    assert scores is not None
    mean, deviation = scores.predict(sampler._coding.places([study.trials[4].params]))
    (ahead,), _ = scores.predict(sampler._coding.places([{"model.dropout": rates[5]}]))
    best = max(score for score, lead in zip(evidence.scores, evidence.lead, strict=True) if lead == 0)
    assert chance == pytest.approx(norm.sf(best, mean[0], math.hypot(deviation[0], scores.noise)))
    assert 0.3 < chance < 1, "at its rung it leads those who have finished"
    pending = add(study, RANGE, {"model.dropout": rates[5]})
    lower = norm.sf(ahead, mean[0], math.hypot(deviation[0], scores.noise))
    assert ahead > best and lower < chance, "who runs is expected to be better"
    assert sampler.chance_of_best(study, [study.trials[4]]) == pytest.approx([lower]) and len(fits) == 1
    study.rest(pending)
    assert sampler.chance_of_best(study, [study.trials[4]]) == [chance], "who waits may never end"
    study.report(pending, 1, 5.0)
    assert sampler.chance_of_best(study, [study.trials[4]]) != [chance] and len(fits) == 2


def spy(calls: list[Any], function: Any) -> Any:
    def called(*arguments: Any) -> Any:
        calls.append(arguments)
        return function(*arguments)

    return called
