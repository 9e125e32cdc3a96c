"""What the samplers' models learn from: scores, forecasts, trials that died and that run; in both directions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from test_samplers import draw, experiment
from test_schedulers import DIRECTIONS, Direction

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Prior, Task, evidence, gaussian_process, optuna_samplers
from search.samplers.coding import Coding
from search.samplers.default import ModelSampler
from search.samplers.design import balanced_design, draw_pool
from search.samplers.evidence import Evidence, gather
from search.samplers.gaussian_process import GaussianProcess, log_expected_improvement
from search.samplers.optuna_samplers import OptunaSampler
from search.space.space import Params, SearchSpace
from trainables.base.outcomes import Outcome

RANGE = {"model.dropout": {"min": 0.0, "max": 0.9}}
SPACE = SearchSpace.model_validate(RANGE)
COMPLETED = Outcome.COMPLETED
METRICS = {"maximize": "valid_bleu", "minimize": "valid_nll_per_char"}


class Told:
    """A study that is told merits, of which more is better, whatever its direction."""

    def __init__(self, direction: Direction):
        self.study, self.sign = Study(None, "s", direction), 1.0 if direction == "maximize" else -1.0

    def trial(self, place: float, *merits: float, outcome: Outcome = Outcome.RUNNING) -> StudyTrial:
        trial = self.study.add({"model.dropout": place}, SPACE.to_optuna())
        for epoch, merit in enumerate(merits, 1):
            self.study.report(trial, epoch, self.sign * merit)
        if outcome != Outcome.RUNNING:
            self.study.finish(trial, outcome)
        return trial


@pytest.fixture(params=DIRECTIONS)
def told(request: pytest.FixtureRequest) -> Told:
    return Told(request.param)


def by_place(found: Evidence, lead: float = 0.0) -> dict[float, float]:
    """Scores in the unit of the metric, up to a constant, of the configurations with that lead."""
    places = [float(str(params["model.dropout"])) for params in found.configurations]
    scores = (found.scores * found.scale).tolist()
    return {place: score for place, score, ahead in zip(places, scores, found.lead, strict=True) if ahead == lead}


EARLY, FINAL = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 14.0, 12.0, 20.0])


def with_four_finished(told: Told) -> Told:
    for number, merits in enumerate(zip(EARLY.tolist(), FINAL.tolist(), strict=True)):
        told.trial(number / 10, *merits, outcome=Outcome.COMPLETED)
    return told


def test_a_forecast_lies_on_the_finals_by_mean_and_spread_and_counts_beside_those_of_finished_runs(told: Told) -> None:
    study = with_four_finished(told).study
    told.trial(0.5, 2.5, outcome=Outcome.STOPPED)
    told.trial(0.6, 4.5)
    found = gather(study)
    assert sorted(set(found.lead.tolist())) == [0.0, 0.5], "half of the training was left"
    final, forecast = by_place(found), by_place(found, lead=0.5)
    slope = np.std(FINAL) / np.std(EARLY)
    expected = 14 + slope * (np.array([*EARLY, 2.5, 4.5]) - 2.5)
    assert sorted(forecast) == [0.0, 0.1, 0.2, 0.3, 0.5, 0.6] and sorted(final) == [0.0, 0.1, 0.2, 0.3]
    away = [*FINAL - 10, *expected - 10]  # from the first trial's final
    assert [s - final[0.0] for s in (*final.values(), *dict(sorted(forecast.items())).values())] == pytest.approx(away)

    # The variance of a ridge regression: as ordinary least squares with one run more that shows no slope.
    z = (EARLY - 2.5) / np.std(EARLY)
    rows = np.vstack((np.column_stack((np.ones(4), z)), [0.0, 1.0]))
    line = np.linalg.lstsq(rows, np.append(FINAL, 0.0), rcond=None)[0]
    scatter = ((FINAL - rows[:4] @ line) ** 2).sum() / (
        4 - np.trace(rows[:4] @ np.linalg.inv(rows.T @ rows) @ rows[:4].T)
    )
    at = (np.array([2.5, 4.5]) - 2.5) / np.std(EARLY)
    variances = evidence.OWN_SCATTER * scatter * (1 + 1 / 4 + at**2 / 5)
    noise = {place: found.noise[row] for row, place in enumerate(places(found)) if found.lead[row]}
    assert [noise[0.5], noise[0.6]] == pytest.approx((variances / found.scale**2).tolist())
    assert not any(noise[place] for place in (0.0, 0.1, 0.2, 0.3)) and not found.noise[found.lead == 0].any()


def places(found: Evidence) -> list[float]:
    return [float(str(params["model.dropout"])) for params in found.configurations]


def test_a_forecast_needs_three_who_finished_and_never_counts_as_a_final_score(told: Told) -> None:
    for place, merits in ((0.0, (1.0, 3.0)), (0.1, (2.0, 5.0)), (0.2, (3.0, 7.0))):
        told.trial(place, *merits, outcome=Outcome.COMPLETED)
    told.study.finish(told.study.add({"model.dropout": 0.3}, SPACE.to_optuna(), scores={2: told.sign * 9}), COMPLETED)
    told.trial(0.5, 4.0)
    told.trial(0.6, 4.0, 6.0, outcome=Outcome.STOPPED)  # as far as those who finished, but it did not
    forecast = by_place(gather(told.study), lead=0.5)
    assert forecast[0.5] - forecast[0.2] == pytest.approx(2.0), "on the line of the three who have a score there"
    found = gather(told.study)
    leads = dict(zip(places(found), found.lead, strict=True))
    assert leads[0.6] == evidence.LEAST_LEAD > 0
    two = Told("maximize")
    for place in (0.0, 0.1):
        two.trial(place, 1.0, 3.0, outcome=Outcome.COMPLETED)
    for place in (0.2, 0.3):
        two.study.finish(two.study.add({"model.dropout": place}, SPACE.to_optuna(), scores={2: 5.0}), COMPLETED)
    two.trial(0.5, 4.0)
    found = gather(two.study)
    assert not found.lead.any() and [params["model.dropout"] for params in found.pending] == [0.5]


def test_before_enough_have_finished_the_highest_epoch_that_enough_have_reached_compares(told: Told) -> None:
    told.trial(0.1, 1.0, 9.0, 2.0, outcome=Outcome.COMPLETED)
    told.trial(0.2, 4.0, 8.0, outcome=Outcome.STOPPED)
    told.trial(0.3, 2.0, 7.0)
    told.trial(0.4, 3.0)
    told.trial(0.5)
    found = gather(told.study)
    assert by_place(found) == pytest.approx({0.1: -1.5, 0.2: 1.5, 0.3: -0.5, 0.4: 0.5}), "epoch 1, about its mean"
    assert [params["model.dropout"] for params in found.pending] == [0.5]
    told.study.report(told.study.trials[3], 2, told.sign * 6.0)
    assert by_place(gather(told.study)) == pytest.approx({0.1: 1.5, 0.2: 0.5, 0.3: -0.5, 0.4: -1.5}), "epoch 2"


@pytest.mark.parametrize("finished", [0, 4])
def test_who_died_by_its_configuration_counts_as_the_worst_and_who_failed_as_nothing(finished: int, told: Told) -> None:
    if finished:
        with_four_finished(told)
    else:
        for number in range(4):
            told.trial(number / 10, 10.0 + number)
    told.trial(0.5, 30.0, outcome=Outcome.DIVERGED)
    told.trial(0.6, outcome=Outcome.DIVERGED)
    told.trial(0.7, outcome=Outcome.INFEASIBLE)
    told.trial(0.8, 30.0, outcome=Outcome.FAILED)
    found = gather(told.study)
    scores = by_place(found)
    assert [scores[place] for place in (0.5, 0.6, 0.7)] == [min(scores.values())] * 3
    assert scores[0.0] == pytest.approx(scores[0.6]), "the worst of the others, not worse"
    assert 0.8 not in places(found) and not found.pending
    assert len(found.noise) == len(found.lead) == len(found.configurations) == len(found.scores)


def test_one_hopeless_score_counts_as_far_below_the_median_as_the_best_lies_above(told: Told) -> None:
    for place, merit in ((0.1, 10.0), (0.2, 11.0), (0.3, 12.0), (0.4, 13.0), (0.5, -1e6)):
        told.trial(place, merit, outcome=Outcome.COMPLETED)
    found = gather(told.study)
    scores = by_place(found)
    assert [scores[place] - scores[0.2] for place in (0.1, 0.3, 0.4, 0.5)] == pytest.approx([-1, 1, 2, -2])
    assert found.scores.mean() == pytest.approx(0) and found.scores.std() == pytest.approx(1)


def test_of_many_trials_the_best_the_latest_and_those_that_run_are_used(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_TRIALS", 6)
    told.trial(0.0)
    for number in range(1, 15):
        told.trial(number / 100, 20.0 - number, outcome=Outcome.COMPLETED)
    for step, latest in ((1, [12, 13, 14]), (5, [10, 11, 12, 13, 14])):
        monkeypatch.setattr(evidence, "STEP", step)
        numbers = [trial.number for trial in evidence.informative_trials(told.study)]
        assert numbers == [0, 1, 2, 3, *latest], "the latest ones change with every fifth trial"


def test_two_words_are_as_far_apart_as_the_ends_of_a_range_and_what_is_unused_from_all() -> None:
    words: dict[str, Any] = {"model.positions": {"values": ["sinusoidal", "learned", "rotary"]}}
    coding = Coding(SearchSpace.model_validate(RANGE | words))
    places = coding.places([{"model.dropout": 0.0}, {"model.dropout": 0.9}, {}])
    assert pdist(coding.columns(places)).tolist() == [1.0, 0.5, 0.5]
    places = coding.places([*({"model.positions": word} for word in words["model.positions"]["values"]), {}])
    apart = squareform(pdist(coding.columns(places)))
    assert apart[np.triu_indices(3, 1)] == pytest.approx(1.0)
    assert apart[3, :3] == pytest.approx(apart[3, 0]) and 0 < apart[3, 0] < 1
    places = coding.draw(np.random.default_rng(0).random((3000, 2)))
    shares = np.unique(places[:, 1], return_counts=True)
    assert shares[0].tolist() == [0, 0.5, 1] and (np.abs(shares[1] - 1000) < 120).all(), "each word as often"
    assert abs(places[:, 0].mean() - 0.5) < 0.02 and coding.params(places[0])["model.dropout"] == places[0, 0] * 0.9


# -- the Gaussian process


def bumpy(points: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.sin(5 * points[:, 0]) + 0.3 * points[:, 1]
    return values


def fitted(count: int = 25) -> tuple[GaussianProcess, np.ndarray]:
    points = np.random.default_rng(0).random((count, 2))
    scores = bumpy(points)
    scores = (scores - scores.mean()) / scores.std()
    return GaussianProcess(points, scores, np.zeros(count), np.array([0, 1])), points


def test_what_is_believed_of_running_trials_changes_no_mean_and_makes_their_places_sure() -> None:
    model, _ = fitted()
    grid = np.random.default_rng(1).random((200, 2))
    running = np.array([[0.9, 0.9], [0.95, 0.1]])
    mean, deviation = model.predict(np.vstack((grid, running)))
    after, less = model.believing(running).predict(np.vstack((grid, running)))
    assert after == pytest.approx(mean, abs=1e-5)
    assert (less <= deviation + 1e-9).all()
    variance, noise = deviation[-2:] ** 2, model.noise**2 + gaussian_process.JITTER
    assert (less[-2:] ** 2 <= variance * noise / (variance + noise) * (1 + 1e-6)).all(), "as a measured score would"
    best = float(mean.max())
    values = log_expected_improvement(mean, deviation, best), log_expected_improvement(after, less, best)
    assert (values[1][-2:] < values[0][-2:]).all()


@pytest.mark.parametrize("scores", [[], [3.0], [3.0, 3.0, 3.0], [3.0, 3.0 + 1e-12]])
def test_scores_without_a_spread_keep_their_unit(scores: list[float]) -> None:
    standard, scale = evidence._standardise(np.array(scores))
    assert scale == 1.0 and np.abs(standard).max(initial=0) < 1e-9


@pytest.mark.parametrize("count", [150, 151, 400, 1000])
def test_of_many_scores_a_model_keeps_the_best_and_an_even_share_of_the_others(count: int) -> None:
    scores = np.random.default_rng(0).permutation(count).astype(float)
    kept = scores[gaussian_process._representative(scores, 150)]
    assert len(set(kept.tolist())) == len(kept) == 150
    ranked = np.sort(kept)[::-1]
    assert ranked[:75].tolist() == list(range(count - 1, count - 76, -1)), "the best half"
    gaps = -np.diff(ranked[75:])
    assert ranked[-1] == 0 and gaps.max() - gaps.min() <= 1, "down to the worst"


def test_the_kernel_is_fitted_to_150_scores_and_predictions_follow_from_400() -> None:
    rng = np.random.default_rng(0)
    points, noise, owners = rng.random((410, 2)), np.zeros(410), np.array([0, 1])
    scores = bumpy(points) + rng.normal(size=410) / 5
    scores = (scores - scores.mean()) / scores.std()
    model = GaussianProcess(points, scores, noise, owners)
    rows = gaussian_process._representative(scores, 150)
    fitted_to = GaussianProcess(points[rows], scores[rows], noise[rows], owners)
    assert model._parameters == pytest.approx(fitted_to._parameters, rel=1e-9)
    fitted_to._condition(*(each[gaussian_process._representative(scores, 400)] for each in (points, scores, noise)))
    at = rng.random((5, 2))
    np.testing.assert_allclose(model.predict(at), fitted_to.predict(at), rtol=1e-9)


def test_the_parameters_of_the_kernel_follow_the_slope_of_the_posterior() -> None:
    """The gradient that the fit goes by is that of the loss, by differences."""
    rng = np.random.default_rng(0)
    points, scores, noise = rng.random((12, 3)), rng.normal(size=12), rng.random(12) / 10
    model = GaussianProcess(points, scores, noise, np.array([0, 1, 1]))
    distances = np.array([np.linalg.norm((points[:, None] - points)[..., c], axis=-1) for c in ([0], [1, 2])])
    distances = distances[:, *np.triu_indices(12, 1)]
    at = model._priors[:, 0] + rng.normal(size=5) / 3
    _, gradient = model._loss(at, distances, scores, noise)
    for index in range(5):
        step = np.eye(5)[index] * 1e-5
        up, down = (model._loss(at + sign * step, distances, scores, noise)[0] for sign in (1, -1))
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-6)


def test_a_score_of_which_little_is_known_bends_the_model_little() -> None:
    points, scores = np.linspace(0, 1, 9)[:, None], np.array([0, 0, 0, 0, 3.0, 0, 0, 0, 0])
    sure, unsure = (
        GaussianProcess(points, scores, noise * (scores > 0), np.array([0])).predict(np.array([[0.5]]))[0][0]
        for noise in (0.0, 50.0)
    )
    assert unsure < sure / 2


def test_what_is_predicted_follows_from_the_kernel_that_the_fit_is_of() -> None:
    """By the formulas of Rasmussen and Williams (2.25, 2.26), with a kernel that is written out here."""
    model, points = fitted(12)
    scores = (bumpy(points) - bumpy(points).mean()) / bumpy(points).std()
    shares, (lengthscale, noise, signal) = 1 / (1 + np.exp(-model._parameters[:2])), np.exp(model._parameters[2:])

    def unlike(distance: np.ndarray) -> np.ndarray:
        root = [np.sqrt(5) * d / lengthscale for d in (distance, np.ones(1))]
        away, ends = (1 - (1 + r + r**2 / 3) * np.exp(-r) for r in root)
        ratio: np.ndarray = away / ends
        return ratio

    def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        apart = np.abs(left[:, None] - right)
        product: np.ndarray = signal * np.prod([1 - shares[i] * unlike(apart[..., i]) for i in (0, 1)], axis=0)
        return product

    at = np.random.default_rng(2).random((5, 2))
    covariance = kernel(points, points) + (noise + gaussian_process.JITTER) * np.eye(12)
    mean, deviation = model.predict(at)
    assert mean == pytest.approx(kernel(at, points) @ np.linalg.solve(covariance, scores), abs=1e-6)
    known = np.diag(kernel(at, points) @ np.linalg.solve(covariance, kernel(points, at)))
    assert deviation**2 == pytest.approx(signal - known, abs=1e-6)
    assert model.noise == pytest.approx(np.sqrt(noise))


def test_the_expected_improvement_is_that_of_a_normal_score() -> None:
    deviation, best = 0.7, 2.0
    for u in (-40.0, -31.0, -29.0, -10.0, -1.0, 0.0, 1.0, 4.9, 5.1, 5.5, 6.0, 30.0):
        (value,) = log_expected_improvement(np.array([best + u * deviation]), np.array([deviation]), best)
        # The integral of x·φ(x - u) over x > 0, with its largest factor taken out of it.
        x = np.linspace(0, max(u, 0) + 12, 400_001)
        largest = -(min(u, 0) ** 2) / 2
        area = np.trapezoid(x * np.exp(-((x - u) ** 2) / 2 - largest), x) / np.sqrt(2 * np.pi)
        assert value == pytest.approx(np.log(area) + largest + np.log(deviation), abs=5e-3), u


# -- what it does to proposals


@pytest.mark.parametrize("sampler", ["default", "tpe", "gp", "cmaes", "nsga2"])
def test_a_loss_is_minimised_just_as_its_negative_is_maximised(sampler: str) -> None:
    """Proposal for proposal, with trials that finish, stop, diverge, are too large, and run."""
    space = {**RANGE, "training.learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"}}
    drawn = []
    for direction in DIRECTIONS:
        sign = 1.0 if direction == "maximize" else -1.0

        def end(study: Study, trial: StudyTrial, sign: float = sign) -> None:
            dropout = float(str(trial.params["model.dropout"]))
            study.report(trial, 1, sign * (20 + dropout))
            match trial.number % 7:
                case 3:
                    study.finish(trial, Outcome.STOPPED)
                case 4:
                    study.finish(trial, Outcome.DIVERGED)
                case 5:
                    study.finish(trial, Outcome.INFEASIBLE)
                case 0 | 1 | 2:
                    study.report(trial, 2, sign * (30 - (dropout - 0.2) ** 2))
                    study.finish(trial, Outcome.COMPLETED)

        searched = experiment(sampler, space, metric=METRICS[direction])
        drawn.append(draw(searched, most=8 if sampler == "gp" else 16, workers=3, end=end)[1])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("direction", "outcome"), [("maximize", Outcome.DIVERGED), ("minimize", Outcome.INFEASIBLE)])
def test_a_region_where_trials_die_is_left(direction: Direction, outcome: Outcome) -> None:
    """Though the scores rise up to its edge, so that who hears nothing of the dead expects the best behind it."""

    def end(study: Study, trial: StudyTrial) -> None:
        place = float(str(trial.params["model.dropout"]))
        if place > 0.6:
            study.finish(trial, outcome)
        else:
            study.report(trial, 1, (10 + 10 * place) * (1 if study.maximize else -1))
            study.finish(trial, Outcome.COMPLETED)

    space = {**RANGE, "training.label_smoothing": {"min": 0.0, "max": 0.3}}
    _, drawn = draw(experiment("default", space, metric=METRICS[direction]), most=24, end=end)
    dead = [float(str(params["model.dropout"])) > 0.6 for params in drawn]
    assert any(dead[:8]) and sum(dead[8:]) <= 6, "6 of 16 is chance"


def test_what_trials_that_run_may_find_is_no_more_to_be_gained(told: Told) -> None:
    """At their places above all; and nothing is proposed that is as good as one of them."""
    plan = SearchPlan(experiment("default", RANGE))
    sampler = plan.sampler
    assert isinstance(sampler, ModelSampler)
    for place, merit in ((0.0, 10.0), (0.2, 20.0), (0.5, 12.0), (0.9, 15.0)):
        told.trial(place, merit, outcome=Outcome.COMPLETED)
    grid = np.linspace(0, 1, 91)[:, None]
    before = sampler._improvement(told.study)[0](grid)
    told.trial(0.7)
    found = gather(told.study)
    assert [params["model.dropout"] for params in found.pending] == [0.7]
    lost = before - sampler._improvement(told.study)[0](grid)
    assert (lost > -1e-6).all() and lost[70] > max(0.1, lost[0], lost[45])
    proposed = [0.7]
    for _ in range(4):
        proposal = plan.propose(told.study)
        assert proposal is not None
        proposed.append(float(str(proposal.params["model.dropout"])))
        told.trial(proposed[-1])
    assert np.diff(sorted(proposed)).min() > 0.017, "a fiftieth of the range"


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_optunas_gaussian_process_hears_the_best_and_the_latest(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna_samplers, "GP_TRIALS", 8)
    plan, told = SearchPlan(experiment("gp", RANGE)), Told(direction)
    sampler = plan.sampler
    assert isinstance(sampler, OptunaSampler)
    merits = [5.0, 9.0, 1.0, 8.0, 2.0, 7.0, 6.0, 3.0, 4.0, 0.0]
    for number, merit in enumerate(merits):
        told.trial(number / 100, merit, outcome=Outcome.COMPLETED)
        assert len(sampler._history(told.study)) == min(number + 1, 8) or number >= 8, "up to eight it hears all"
    for number in range(4):
        told.trial(0.5 + number / 100, outcome=Outcome.FAILED if number % 2 else Outcome.RUNNING)
    history = sampler._history(told.study)
    heard = {round(trial.params["model.dropout"] * 0.9, 6) for trial in history}
    assert heard == {0.01, 0.03, 0.05, 0.06, 0.5, 0.51, 0.52, 0.53}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_optuna_is_told_what_became_of_each_trial(direction: Direction) -> None:
    plan, told = SearchPlan(experiment("tpe", RANGE)), Told(direction)
    told.trial(0.1)
    told.trial(0.2, 5.0)
    for number, outcome in enumerate(o for o in Outcome if o != Outcome.RUNNING):
        told.trial(0.3 + number / 10, 5.0, 6.0, outcome=outcome)
    sampler = plan.sampler
    assert isinstance(sampler, OptunaSampler)
    states: dict[str, Any] = {}
    for trial, frozen in zip(told.study.trials.values(), sampler._history(told.study), strict=True):
        name = f"{trial.outcome}, reported" if trial.running and trial.scores else str(trial.outcome)
        states[name] = frozen.state.name, frozen.value, frozen.intermediate_values, frozen.constraints
    told_of = {1: 5.0 * told.sign, 2: 6.0 * told.sign}
    assert states == {
        "running": ("RUNNING", None, {}, {}),
        "running, reported": ("PRUNED", None, {1: 5.0 * told.sign}, {}),
        "completed": ("COMPLETE", 6.0 * told.sign, told_of, {}),
        "stopped": ("PRUNED", None, told_of, {}),
        "diverged": ("PRUNED", None, told_of, {}),
        "infeasible": ("PRUNED", None, told_of, {"valid": 1.0}),
        "failed": ("FAIL", None, told_of, {}),
    }


def test_the_model_finds_the_better_end(told: Told) -> None:
    """It learns what one hyperparameter does, whichever way the metric goes."""
    metric = METRICS["maximize" if told.sign > 0 else "minimize"]
    plan = SearchPlan(experiment("default", RANGE, metric=metric))

    def merit(params: Params) -> float:
        return 10 - 30 * (float(str(params["model.dropout"])) - 0.7) ** 2

    found = []
    for _ in range(12):
        proposal = plan.propose(told.study)
        assert proposal is not None
        found.append(merit(proposal.params))
        told.trial(float(str(proposal.params["model.dropout"])), found[-1] / 2, found[-1], outcome=Outcome.COMPLETED)
    assert max(found) > 9.95 and np.mean(found[-6:]) > np.mean(found[:6])


def test_what_is_promised_is_in_the_unit_of_the_metric(told: Told) -> None:
    """The gain that a proposal expects, and the noise, from scores in another unit."""
    memories = []
    for unit in (1.0, 100.0):
        plan, other = SearchPlan(experiment("default", RANGE)), Told("maximize" if told.sign > 0 else "minimize")
        for place, merit in ((0.0, 3.0), (0.2, 5.0), (0.4, 4.0), (0.6, 6.0), (0.8, 2.0)):
            other.trial(place, unit * merit, outcome=COMPLETED)
        proposal = plan.propose(other.study)
        assert proposal is not None
        memories.append(proposal.memory)
    assert memories[1]["gain"] == pytest.approx(100 * memories[0]["gain"], rel=1e-3)
    assert memories[1]["noise"] == pytest.approx(100 * memories[0]["noise"], rel=1e-3)
    assert 0 < memories[0]["noise"] < 3 and 0 < memories[0]["gain"] < 3


def test_while_nothing_is_known_trials_are_unlike_those_that_run() -> None:
    """After the start, as no score is there yet: of four on a line none are near, as they are when drawn at random."""

    def nearest(sampler: dict[str, Any]) -> list[float]:
        found = []
        for seed in range(8):
            _, drawn = draw(experiment(sampler, RANGE, seed=seed), most=4, workers=9)
            values = sorted(float(str(params["model.dropout"])) for params in drawn)
            found.append(float(np.diff(values).min()))
        return found

    assert min(nearest({"kind": "default", "startup_trials": 1})) > 0.09 > np.median(nearest({"kind": "random"}))


def test_a_balanced_design_spreads_each_hyperparameter_and_keeps_its_points_apart() -> None:
    space = {**RANGE, "training.label_smoothing": {"min": 0.0, "max": 0.9}}
    searched = experiment("default", space)
    designs, draws = list[np.ndarray](), list[np.ndarray]()
    for seed in range(6):
        task = Task(searched.space, searched.accept, seed)
        for chosen, found in (
            (designs, balanced_design(task, 6)),
            (draws, draw_pool(task, np.random.default_rng(seed))[:6]),
        ):
            chosen.append(np.array([[float(str(value)) / 0.9 for value in params.values()] for params in found]))
    even = (np.arange(6) + 0.5) / 6
    measures: list[Callable[[np.ndarray], Any]] = [
        lambda points: np.abs(np.sort(points, axis=0) - even[:, None]).max(),
        lambda points: abs(np.corrcoef(points.T)[0, 1]),
        lambda points: pdist(points).min(),
    ]
    uneven, alike, apart = (
        [float(np.mean([measure(points) for points in sets])) for sets in (designs, draws)] for measure in measures
    )
    assert uneven[0] < 0.7 * uneven[1] and alike[0] < alike[1] and apart[0] > 1.3 * apart[1]


def test_where_optuna_draws_what_makes_no_trial_the_nearest_one_is_taken() -> None:
    """Where widths up to 512 are allowed and 1024 is wished for."""
    space = {"model.d_model": {"values": [64 * width for width in range(1, 17)]}}
    searched = experiment("gp", space)
    limit = searched.trial.with_values({"model.d_model": 512}).num_parameters
    sampler = SearchPlan(experiment("gp", space, max_parameters=limit)).sampler
    assert isinstance(sampler, OptunaSampler)
    found = sampler._nearest({"model.d_model": 1024}, set(), np.random.default_rng(0))
    assert found == {"model.d_model": 512}
    known = {SearchSpace.key({"model.d_model": width}) for width in (512, 448)}
    assert sampler._nearest({"model.d_model": 1024}, known, np.random.default_rng(0)) == {"model.d_model": 384}


def test_a_prior_raises_what_is_expected_where_it_was_good_elsewhere() -> None:
    """While the scores say nothing of one end or the other."""
    told = Told("maximize")
    elsewhere = [({"model.dropout": place}, place) for place in np.linspace(0.0, 0.9, 30).tolist()]
    for place in (0.44, 0.46):
        told.trial(place, 10.0 + place, outcome=COMPLETED)
    ends = []
    for prior in (Prior(SPACE, [elsewhere]), Prior(SPACE, [[(params, -score) for params, score in elsewhere]])):
        sampler = SearchPlan(experiment("default", RANGE), prior).sampler
        assert isinstance(sampler, ModelSampler)
        ends.append(sampler._improvement(told.study)[0](np.array([[0.0], [1.0]])))
    assert ends[0][1] > ends[0][0] + 0.1 and ends[1][0] > ends[1][1] + 0.1
