"""A search that starts from what earlier ones found: what carries over, what it costs where it misleads."""

import csv
import itertools
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from test_work import open_work, simulate

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.run_directory.prior_sources import find_prior, keep_prior, read_run, read_table
from search.samplers import Proposal, Task
from search.samplers.coding import Coding
from search.samplers.design import balanced_design
from search.samplers.prior import PENALTIES, Findings, Prior, _place, _places, known
from search.settings.experiment import Experiment
from search.space.domain import Domain
from search.space.space import Params, SearchSpace
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome
from trainables.base.yaml_files import dump_yaml

SPACE = {
    "model.d_model": {"values": [64, 128, 256, 512]},
    "model.dropout": {"min": 0.0, "max": 0.4},
    "model.activation": {"values": ["relu", "gelu", "swiglu"]},
    "training.learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"},
}
WIDE = SearchSpace.model_validate(SPACE)


def experiment(*prior: Path, space: dict[str, Any] = SPACE, **search: Any) -> Experiment:
    sampler = {"prior": [str(path) for path in prior]}
    return Experiment.model_validate({"space": space, "search": {"sampler": sampler, **search}})


def quality(params: Params) -> float:
    """Best at width 256, dropout 0.1, gelu and a rate of 1e-3."""
    width, rate = (np.log10(float(str(params[path]))) for path in ("model.d_model", "training.learning_rate"))
    words = {"relu": 0.0, "gelu": 1.0, "swiglu": 0.5}[str(params["model.activation"])]
    return float(
        words - (2 * (width - 2.4)) ** 2 - (rate + 3) ** 2 - (5 * (float(str(params["model.dropout"])) - 0.1)) ** 2
    )


def findings(count: int = 60, sign: float = 1.0) -> Findings:
    rng = np.random.default_rng(0)
    draws = [{path: domain.at(rng.random()) for path, domain in WIDE.domains.items()} for _ in range(count)]
    return [(params, sign * (3 * quality(params) ** 3 + 7)) for params in draws]  # other units, the same ranks


def search(prior: Prior | None, trials: int, seed: int = 0) -> list[float]:
    """The qualities of the trials that are proposed."""
    plan, study = SearchPlan(experiment(trials=trials, seed=seed), prior), Study(None, "search", "maximize")
    found = []
    while (proposal := plan.propose(study)) is not None:
        found.append(quality(proposal.params))
        trial = study.add(proposal.params, plan.distributions)
        study.report(trial, 1, found[-1])
        study.finish(trial, Outcome.COMPLETED)
    return found


def best_after(sources: list[Findings], trials: int) -> float:
    priors = [Prior(WIDE, sources) if sources else None for _ in range(8)]
    return float(np.mean([max(search(prior, trials, seed)) for seed, prior in enumerate(priors)]))


def test_what_was_good_elsewhere_is_tried_first() -> None:
    assert best_after([findings()], 5) > best_after([], 5) + 0.1


def test_half_of_the_first_trials_are_of_the_whole_space() -> None:
    prior = Prior(WIDE, [findings()])
    searched = experiment()
    task = Task(searched.space, searched.accept, seed=0)
    guesses = prior._guesses(Coding(WIDE).places(prior.start(task, 6)))[0]
    anywhere = prior._guesses(Coding(WIDE).places([params for params, _ in findings(400)]))[0]
    assert min(guesses[::2]) > np.quantile(anywhere, 0.8) and min(guesses[1::2]) < np.median(anywhere), "in turn"
    assert len(prior.start(task, 5)) == 5 and len(prior.start(task, 1)) == 1


def test_a_misleading_prior_costs_a_few_trials_alone() -> None:
    assert best_after([findings(sign=-1)], 18) > best_after([], 14) - 0.05


def scored(scale: float) -> tuple[np.ndarray, np.ndarray]:
    places = np.random.default_rng(1).random((12, 4))
    guess = Prior(WIDE, [findings()])._guesses(places)[0]
    return places, scale * (guess - guess.mean()) / guess.std()


def test_a_source_that_fits_outweighs_one_that_does_not() -> None:
    places, scores = scored(1.0)
    right, wrong = findings(), findings(sign=-1)
    alone = Prior(WIDE, [right]).mean(places, scores)(places)
    both = Prior(WIDE, [wrong, right]).mean(places, scores)(places)
    assert np.corrcoef(both, scores)[0, 1] > 0.99
    np.testing.assert_allclose(both, alone, atol=1e-3)


def test_a_prior_fades_and_is_dropped_when_scores_disagree() -> None:
    places, scores = scored(1.0)
    prior = Prior(WIDE, [findings()])
    few, many = (prior.mean(places[:n], scores[:n])(places).std() for n in (4, 12))
    assert few > many > 0
    assert not prior.mean(places, -scores)(places).any()
    assert prior.mean(places[:2], np.zeros(2))(places).any(), "nothing speaks against it yet"


def test_what_both_know_counts_and_other_values_are_clamped() -> None:
    elsewhere: Findings = [
        ({"d_model": 1024, "model.activation": "gelu", "beam": 5}, 3.0),
        ({"d_model": 512, "model.activation": "tanh"}, 3.0),
        ({"d_model": 32}, 1.0),
        ({"d_model": 96}, 2.0),
    ]
    assert known(WIDE, elsewhere) == ["model.d_model"]
    at = Coding(WIDE).places([{"model.d_model": width, "model.dropout": 0.3} for width in (64, 128, 256, 512)])
    guess = Prior(WIDE, [elsewhere])._guesses(at)[0]
    assert list(guess) == sorted(guess)
    at[:, 1] = 0.9
    np.testing.assert_allclose(Prior(WIDE, [elsewhere])._guesses(at)[0], guess, err_msg="dropout was not varied there")


def searched(folder: Path, **changes: Any) -> Path:
    """The directory of a run that has ended, over width and dropout."""
    space = {path: SPACE[path] for path in ("model.d_model", "model.dropout")}
    done = Experiment.model_validate(
        {"space": space, "search": {"trials": 12, **changes}, "training": {"epochs": 4, "learning_rate": 0.003}}
    )
    simulate(open_work(folder, done), {})
    (folder / "experiment.yaml").write_text(dump_yaml(done))
    return folder


def test_a_run_tells_its_trials_and_its_base(tmp_path: Path) -> None:
    found = read_run(searched(tmp_path / "other"))
    assert len(found) >= 10, "stopped trials, too"
    assert {params["training.learning_rate"] for params, _ in found} == {0.003}
    best, worst = max(found, key=lambda f: f[1])[0], min(found, key=lambda f: f[1])[0]
    assert int(str(best["model.d_model"])) > int(str(worst["model.d_model"])), "as test_work.score has it"
    assert known(WIDE, found) == ["model.d_model", "model.dropout"]


def write_table(file: Path, **columns: list[Any]) -> Path:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return file


def test_a_table_has_columns_by_path_or_its_last_part(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "d_model": [64, 256],
        "training.learning_rate": ["1e-3", 0.002],
        "activation": ["relu", "gelu"],
    }
    found = read_table(write_table(tmp_path / "t.csv", **columns, tied=["true", ""], dev_bleu=[12.5, 13]))
    assert found[0] == ({"d_model": 64, "training.learning_rate": 0.001, "activation": "relu", "tied": True}, 12.5)
    assert known(WIDE, found) == ["model.d_model", "model.activation", "training.learning_rate"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"d_model": [64, 128], "quality": [1, 2]}, "has no column of scores; call it score or valid_bleu or dev_bleu"),
        ({"d_model": [64, 128], "score": [1, "high"]}, "can't be read as a CSV table: could not convert"),
        ({"d_model": [64, 128], "score": [1, "nan"]}, "nan is not a finite score"),
        ({"d_model": [64, 64], "beam": [1, 2], "score": [1, 2]}, "none of the space's hyperparameters varies in its 2"),
        ({"d_model": [], "score": []}, "varies in its 0 configurations; the space has model.d_model, "),
    ],
)
def test_a_source_that_says_nothing_is_refused(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"search.sampler.prior: {tmp_path}/t.csv.*{message}"):
        find_prior(experiment(write_table(tmp_path / "t.csv", **columns)))


def test_a_source_that_is_no_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone does not exist; name a run directory or a CSV table"):
        find_prior(experiment(tmp_path / "gone"))
    with pytest.raises(UserError, match="not the directory of a run"):
        find_prior(experiment(tmp_path))
    with pytest.raises(ValidationError, match=r"search.sampler.*tpe.*prior"):
        experiment(sampler={"kind": "tpe", "prior": [str(tmp_path)]})
    assert find_prior(experiment()) is None


def test_a_resumed_search_goes_on_with_the_prior_it_began_with(tmp_path: Path) -> None:
    source = searched(tmp_path / "other")
    begun = experiment(source, trials=7).model_copy(update={"name": "x", "output_dir": str(tmp_path)})
    begun.run_dir.mkdir()

    def proposals(prior: Prior | None) -> list[Params]:
        plan, study, proposed = SearchPlan(begun, prior), Study(None, "search", "maximize"), []
        while isinstance(proposal := plan.propose(study), Proposal):
            trial = study.add(proposal.params, plan.distributions)
            study.report(trial, 1, quality(trial.params))
            study.finish(trial, Outcome.COMPLETED)
            proposed.append(proposal.params)
        return proposed

    before = proposals(keep_prior(begun))
    source.rename(tmp_path / "gone")
    assert proposals(keep_prior(begun)) == before
    with pytest.raises(UserError, match="does not exist"):
        keep_prior(begun.with_values({"search.sampler.prior": [str(tmp_path / "third"), str(source)]}))


# -- by formula


def normal_scores(findings: Findings) -> np.ndarray:
    """Normal scores by the ranks of scores, equals at their mean rank."""
    scores = [score for _, score in findings]
    ranks = [sum(s < score for s in scores) + (sum(s == score for s in scores) + 1) / 2 for score in scores]
    return np.array([NormalDist().inv_cdf((rank - 0.5) / len(scores)) for rank in ranks])


@pytest.mark.parametrize(("count", "noise"), [(9, 0.1), (25, 0.2), (40, 4.0)])
def test_a_source_is_the_ridge_regression_that_is_best_for_scores_left_out(count: int, noise: float) -> None:
    """Each score is left out and predicted by a fit of the others, for every penalty."""
    rng = np.random.default_rng(count)
    space = {path: SPACE[path] for path in ("model.dropout", "training.learning_rate")}
    known = SearchSpace.model_validate(space)
    draws = [{path: domain.at(rng.random()) for path, domain in known.domains.items()} for _ in range(count)]
    found = [(params, round(quality({**QUIET, **params}) + noise * rng.normal(), 1)) for params in draws]
    targets = normal_scores(found)

    def features(dropout: np.ndarray, rate: np.ndarray) -> np.ndarray:
        x, y = 2 * dropout - 1, 2 * rate - 1
        return np.stack((x, y, x * x, x * y, y * y), axis=1)

    def fit(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        """Intercept, which is not penalised, and slopes."""
        gram = np.block([[np.array([[len(x)]]), x.sum(0)[None]], [x.sum(0)[:, None], x.T @ x + penalty * np.eye(5)]])
        solution = np.linalg.solve(gram, np.append(y.sum(), x.T @ y))
        return solution[0], solution[1:]

    at_dropout = np.array([float(str(params["model.dropout"])) / 0.4 for params, _ in found])
    at_rate = np.array([np.log10(float(str(params["training.learning_rate"]))) / 2 + 2 for params, _ in found])
    rows = features(at_dropout, at_rate)
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for out in range(count):
            intercept, slopes = fit(np.delete(rows, out, 0), np.delete(targets, out), penalty)
            error += (targets[out] - intercept - rows[out] @ slopes) ** 2
        errors.append(error)
    intercept, slopes = fit(rows, targets, PENALTIES[int(np.argmin(errors))])
    at = rng.random((20, 2))
    (guess,) = Prior(known, [found])._guesses(at)
    np.testing.assert_allclose(guess, intercept + features(at[:, 0], at[:, 1]) @ slopes, atol=1e-9)


QUIET: Params = {"model.d_model": 256, "model.activation": "gelu"}


def test_sources_weigh_by_the_likelihood_of_the_scores_and_fade() -> None:
    """Beside three times the guess that all places are equal, with normal densities of variance 0.5."""
    rng = np.random.default_rng(2)
    places, at = rng.random((4, 4)), rng.random((6, 4))
    prior = Prior(WIDE, [findings(), findings(20), findings(sign=-1)])
    for scores in (rng.normal(size=4), prior._guesses(places)[1], 300 * prior._guesses(places)[0]):
        guesses = prior._guesses(places)
        centres = guesses.mean(axis=1)

        def density(guess: np.ndarray | float, scores: np.ndarray = scores) -> float:
            return -float(((scores - guess) ** 2).sum()) / (2 * 0.5)

        logs = [density(guess - centre) for guess, centre in zip(guesses, centres, strict=True)]
        logs.append(density(0.0) + math.log(3.0))
        odds = [math.exp(each - max(logs)) for each in logs]
        weights = [each / sum(odds) * 20 / 24 for each in odds[:-1]]
        expected = sum(w * (g - c) for w, g, c in zip(weights, prior._guesses(at), centres, strict=True))
        np.testing.assert_allclose(prior.mean(places, scores)(at), expected)


@pytest.mark.parametrize("count", [4, 5, 6])
def test_of_five_scores_or_more_a_prior_has_to_order_them_a_little(count: int) -> None:
    """By a rank correlation of a tenth."""
    prior = Prior(WIDE, [findings()])
    places = np.random.default_rng(1).random((count, 4))
    ranks = prior._guesses(places)[0].argsort().argsort()
    for order in list(itertools.permutations(range(count)))[:: 1 if count < 6 else 7]:
        correlation = np.corrcoef(ranks, order)[0, 1]
        if abs(correlation - 0.1) > 1e-9:
            mean = prior.mean(places, 0.01 * np.array(order))
            assert mean(places).any() == (count == 4 or correlation > 0.1), correlation
    assert prior.mean(places, np.zeros(count))(places).any() == (count == 4), "equal scores agree with nothing"


def test_where_values_of_another_space_lie() -> None:
    numbers = Domain.model_validate({"values": [512, 64, 128]})
    assert [_place(numbers, value) for value in (32, 64, 96, 128, 320, 512, 1024)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    between = Domain.model_validate({"min": 0.001, "max": 0.1, "distribution": "log_uniform_values"})
    assert [_place(between, value) for value in (1e-5, 0.001, 0.01, 0.1, 7)] == pytest.approx([0, 0, 0.5, 1, 1])
    words = Domain.model_validate({"values": ["relu", "gelu", True]})
    assert [_place(words, value) for value in ("relu", "gelu", True)] == [0, 0.5, 1]
    for domain, value in ((words, "tanh"), (words, None), (numbers, "64"), (numbers, True), (between, None)):
        assert math.isnan(_place(domain, value)), value
    space = SearchSpace.model_validate(
        {"model.d_model": {"values": [64, 128]}, "model.dropout": SPACE["model.dropout"]}
    )
    found: Findings = [({"d_model": 64, "model.dropout": 0.1}, 1.0), ({"model.d_model": 128, "d_model": 64}, 2.0)]
    np.testing.assert_array_equal(_places(space, found), [[0, 0.25], [1, math.nan]])
    assert _places(space, []).shape == (0, 2) and known(space, found) == ["model.d_model"]
    assert known(space, found[:1]) == [] and known(space, found[1:] * 2) == []


@pytest.mark.parametrize("sources", [1, 2])  # one of width alone: the order of the pool decides among equals
def test_a_prior_starts_with_promising_trials_in_turn_with_a_design_of_the_whole(sources: int) -> None:
    task = Task(WIDE, lambda params: params, 3)
    widths: Findings = [({"d_model": width}, width) for width in (64, 128, 256)]
    prior = Prior(WIDE, [widths, findings(20)][:sources])
    pool = [params for params, _ in findings(90)]
    guess = prior._guesses(Coding(WIDE).places(pool)).mean(axis=0)
    for count in (1, 5, 6, 30):
        best = [pool[row] for row in sorted(range(90), key=lambda row: -guess[row])[: max(14, count)]]
        favourites = balanced_design(task, max(1, count // 2), best)
        others = [params for params in balanced_design(task, count, pool) if params not in favourites]
        turns: list[Params] = []
        while len(turns) < count:
            turns += favourites[:1] + others[:1]
            favourites, others = favourites[1:], others[1:]
        assert prior.start(task, count, pool) == turns[:count]
        assert len(prior.start(task, count)) == count
