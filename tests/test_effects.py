"""What a search says about its hyperparameters: exact on a grid, honest elsewhere."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from statistics import variance
from typing import Any

import numpy as np
import optuna
import pytest
import scipy.stats
from boards import entry
from hypothesis import given
from hypothesis import strategies as st
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState
from reports import line_of

from search.effects.analysis import Analysis, Effect, Estimate, Interaction, Noise, analyse, seed_noise
from search.effects.importance import Importance, importances
from search.effects.observing import Observations, Score, observe
from search.effects.regression import fit
from search.effects.sentences import counted, disagreement, effect_sentences, interaction_sentences, signed
from search.record.attributes import Attributes
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.space.space import Params, SearchSpace
from trainables.base.outcomes import Outcome

GRID = SearchSpace.model_validate(
    {
        "model.encoder_layers": {"values": [1, 2]},
        "model.num_heads": {"values": [4, 8]},
        "model.dropout": {"values": [0.0, 0.1, 0.2]},
        "model.activation": {"values": ["relu", "gelu", "swiglu"]},
    }
)


def observations(configurations: list[Params], scores: Any, seeds: list[list[float]] | None = None) -> Observations:
    """Final scores of trials that all came to the end."""
    numbers = list(range(len(configurations)))
    table = np.asarray(scores, float)[:, None]
    return Observations(
        numbers, configurations, table, np.full_like(table, 8, dtype=int), seeds or [], "", "at epoch 8"
    )


def effect_of(found: Analysis, path: str) -> Effect:
    return next(effect for effect in found.effects if effect.path == path)


@given(st.integers(0, 2**32 - 1))
def test_on_a_full_grid_the_effects_are_the_plain_marginal_means(seed: int) -> None:
    grid = list(GRID.grid())
    scores = np.random.default_rng(seed).normal(30, 5, len(grid))
    found = analyse(GRID, observations(grid, scores))

    def mean(**values: Any) -> float:
        wanted = {f"model.{name}": value for name, value in values.items()}
        return float(np.mean([s for p, s in zip(grid, scores, strict=True) if wanted.items() <= p.items()]))

    for path in ("model.encoder_layers", "model.num_heads"):
        low, high = (mean(**{path[6:]: value}) for value in (GRID.domains[path].values or ()))
        effect = effect_of(found, path)
        assert effect.largest.size == pytest.approx(high - low, abs=1e-9)
        assert [level.mean for level in effect.means] == pytest.approx([low, high], abs=1e-9)
    dropout = [mean(dropout=value) for value in (0.0, 0.1, 0.2)]
    assert [level.mean for level in effect_of(found, "model.dropout").means] == pytest.approx(dropout, abs=1e-9)
    assert effect_of(found, "model.dropout").largest.size == pytest.approx((dropout[2] - dropout[0]) / 2, abs=1e-9)
    words = [mean(activation=value) for value in ("relu", "gelu", "swiglu")]
    sizes = [estimate.size for estimate in effect_of(found, "model.activation").estimates]
    assert sizes == pytest.approx(np.array(words) - scores.mean(), abs=1e-9)
    both = [mean(encoder_layers=a, num_heads=b) for a in (1, 2) for b in (4, 8)]
    together = [each for each in found.interactions if each.paths == ("model.encoder_layers", "model.num_heads")]
    for each in together:
        assert each.estimate is not None
        assert each.estimate.size == pytest.approx(both[3] - both[2] - both[1] + both[0], abs=1e-9)


def log2(value: Any) -> float:
    return math.log2(value)


@pytest.mark.parametrize(
    ("path", "domain", "score", "label", "size"),
    [
        (
            "training.learning_rate",
            {"min": 0.001, "max": 0.016, "distribution": "log_uniform_values"},
            log2,
            "each doubling of learning_rate",
            1.0,
        ),
        (
            "training.warmup_steps",
            {"min": 100, "max": 1600, "q": 10, "distribution": "q_log_uniform_values"},
            log2,
            "each doubling of warmup_steps",
            1.0,
        ),
        (
            "training.label_smoothing",
            {"min": 0.1, "max": 0.4},
            lambda v: 10 * v,
            "label_smoothing 0.4 instead of 0.1",
            3.0,
        ),
        ("training.warmup_steps", {"min": 1, "max": 41}, lambda v: -v / 10, "warmup_steps 41 instead of 1", -4.0),
        ("training.warmup_steps", {"min": 1, "max": 12}, lambda v: v, "one more warmup step", 1.0),
        ("training.warmup_steps", {"min": 1, "max": 13}, lambda v: v, "warmup_steps 13 instead of 1", 12.0),
        ("model.encoder_layers", {"min": 1, "max": 6}, lambda v: 2 * v, "one more encoder layer", 2.0),
        ("model.encoder_layers", {"values": [3, 1, 2]}, lambda v: -2 * v, "one more encoder layer", -2.0),
        ("model.num_heads", {"values": [2, 8]}, lambda v: v, "num_heads 8 instead of 2", 6.0),
        ("model.num_heads", {"values": [8, 4]}, lambda v: v, "num_heads 8 instead of 4", 4.0),
        ("model.dropout", {"values": [0.0, 0.1, 0.2, 0.3]}, lambda v: 10 * v, "each 0.1 more of dropout", 1.0),
        ("model.d_model", {"values": [64, 128, 256, 512]}, lambda v: 3 * log2(v), "each doubling of d_model", 3.0),
        ("model.ffn_dim", {"values": [100, 200, 700]}, [100, 200, 700].index, "each next value of ffn_dim", 1.0),
        ("model.activation", {"values": ["relu", "gelu"]}, len, "activation gelu instead of relu", 0.0),
        ("model.activation", {"values": ["swiglu", "relu"]}, len, "activation relu instead of swiglu", -2.0),
    ],
)
def test_a_step_is_what_its_words_say(
    path: str, domain: dict[str, Any], score: Callable[[Any], float], label: str, size: float
) -> None:
    """Effects of exact scores, whatever scale the values lie on."""
    other = {"model.positions": {"values": ["rotary", "sinusoidal"]}}
    space = SearchSpace.model_validate({path: domain, **other})
    rng = np.random.default_rng(0)
    trials: list[Params] = [{p: d.at(rng.random()) for p, d in space.domains.items()} for _ in range(40)]
    scores = [score(params[path]) + 5 * (params["model.positions"] == "rotary") for params in trials]
    (estimate,) = effect_of(analyse(space, observations(trials, scores)), path).estimates
    assert estimate.label == label and estimate.size == pytest.approx(size, abs=1e-9)


def test_the_means_of_a_range_are_those_of_its_thirds() -> None:
    """They are the thirds of its logarithm; a score that rises and falls is no line through them."""
    domain = {"min": 0.001, "max": 0.008, "distribution": "log_uniform_values"}
    space = SearchSpace.model_validate({"training.learning_rate": domain, "model.num_heads": {"values": [2, 4]}})
    rates = (0.0011, 0.0019, 0.0021, 0.003, 0.0039, 0.0041, 0.006, 0.0075)
    trials: list[Params] = [{"training.learning_rate": r, "model.num_heads": h} for r in rates for h in (2, 4)]
    scores = [
        (10.0 if r < 0.002 else 30.0 if r < 0.004 else 15.0) + (1.0 if h == 4 else -1.0) for r in rates for h in (2, 4)
    ]
    means = effect_of(analyse(space, observations(trials, scores)), "training.learning_rate").means
    assert [(m.label, m.trials) for m in means] == [("0.001 to 0.002", 4), ("0.002 to 0.004", 6), ("0.004 to 0.008", 6)]
    assert [m.at for m in means] == pytest.approx([0.001 * 2**0.5, 0.002 * 2**0.5, 0.004 * 2**0.5])
    assert [m.mean for m in means] == pytest.approx([10.0, 30.0, 15.0])


def dummies(grid: list[Params], pair: tuple[str, ...] = ()) -> np.ndarray:
    """The textbook's matrix of GRID: ones, numbers as they are, words as 0 or 1; with a pair, its products."""
    columns: dict[str, list[list[float]]] = {
        **{path: [[float(str(p[path])) for p in grid]] for path in list(GRID.domains)[:3]},
        "model.activation": [[float(p["model.activation"] == word) for p in grid] for word in ("gelu", "swiglu")],
    }
    products = [np.multiply(x, y) for x in columns[pair[0]] for y in columns[pair[1]]] if pair else []
    listed = [column for each in columns.values() for column in each]
    return np.array([np.ones(len(grid)), *listed, *products]).T


def squares(matrix: np.ndarray, scores: np.ndarray) -> float:
    """What least squares leave."""
    return float(((scores - matrix @ np.linalg.lstsq(matrix, scores, rcond=None)[0]) ** 2).sum())


def test_intervals_and_p_values_are_those_of_the_textbook() -> None:
    """Student's t and the partial F test, the latter corrected for all pairs of settings that were tried."""
    grid = list(GRID.grid())
    doubtful: list[float] = []
    four_means = 0
    for seed in range(12):
        scores = np.random.default_rng(seed).normal(30, 5, len(grid))
        noise = [[30.0, 32.0, 31.0], [20.0, 21.0]]
        found = analyse(GRID, observations(grid, scores, noise))
        left, freedom = squares(dummies(grid), scores), len(grid) - 6
        layers = effect_of(found, "model.encoder_layers").largest
        share = (2 / len(grid) + 2 / len(grid)) ** 0.5  # of a difference of two means, each of half of the trials
        margin = scipy.stats.t.ppf(0.975, freedom) * (left / freedom) ** 0.5 * share
        assert layers.margin == pytest.approx(margin)
        means = effect_of(found, "model.encoder_layers").means
        assert [mean.margin for mean in means] == pytest.approx([margin / 2**0.5] * 2), "each of half of the trials"
        assert layers.seed_margin == pytest.approx(scipy.stats.t.ppf(0.975, 3) * (2.5 / 3) ** 0.5 * share)

        pairs = list(combinations(GRID.domains, 2))
        chances = {}
        for pair in pairs:
            wide = dummies(grid, pair)
            more = wide.shape[1] - 6
            rest = squares(wide, scores)
            ratio = (left - rest) / more / (rest / (len(grid) - wide.shape[1]))
            chances[pair] = float(scipy.stats.f.sf(ratio, more, len(grid) - wide.shape[1]))
        assert found.pairs == len(pairs) == 6
        strongest = sorted(chances, key=lambda pair: min(1.0, 6 * chances[pair]))[:3]
        assert [each.paths for each in found.interactions] == strongest
        for each in found.interactions:
            assert each.chance == pytest.approx(min(1.0, 6 * chances[each.paths]))
            assert each.is_clear == (6 * chances[each.paths] < 0.05)
            if each.paths == ("model.encoder_layers", "model.num_heads"):
                assert each.estimate is not None
                variance_left = squares(dummies(grid, each.paths), scores) / (freedom - 1)
                told = (
                    scipy.stats.t.ppf(0.975, freedom - 1) * (variance_left * 4 * 4 / len(grid)) ** 0.5
                )  # of four means
                assert each.estimate.margin == pytest.approx(told) and each.estimate.seed_margin is None
                four_means += 1
        doubtful += [p for p in chances.values() if p < 0.05 < 6 * p]
        if not any(each.is_clear for each in found.interactions):
            (said,) = interaction_sentences(found, "BLEU")
            assert "No setting significantly changes what another does (6 pairs tried)" in said
    assert four_means
    assert doubtful, "of noise alone, some pairs seem to matter if one looks at them by themselves"


@pytest.mark.parametrize(
    ("size", "margin", "seed_margin", "needed", "verdict"),
    [
        (1.0, 0.5, 0.2, None, "clear"),
        (-1.0, 0.5, 0.2, None, "clear"),
        (0.1, 0.5, 0.2, None, "seeds"),
        (-0.1, 0.5, 0.2, None, "seeds"),
        (-0.1, 0.05, 0.2, None, "seeds"),
        (0.3, 0.5, 0.2, None, "open"),
        (-0.3, 0.5, 0.2, None, "open"),
        (-0.3, 0.2, None, None, "clear"),
        (-0.1, 0.2, None, None, "open"),
        (9.0, 0.2, 0.1, 40, "wide"),
    ],
)
def test_an_effect_is_clear_where_noise_and_interval_leave_it(
    size: float, margin: float, seed_margin: float | None, needed: int | None, verdict: str
) -> None:
    assert Estimate("", size, margin, seed_margin, needed).verdict == verdict


def test_the_noise_of_seeds_is_pooled_over_configurations() -> None:
    groups = [[30.0, 32.0, 31.0], [20.0, 21.0], [50.0]]
    noise = seed_noise(groups)
    assert noise is not None and noise.freedom == 3
    assert noise.deviation == pytest.approx(((2 * variance(groups[0]) + variance(groups[1])) / 3) ** 0.5)
    assert seed_noise([[50.0], [40.0]]) is seed_noise([]) is None


def test_seeds_are_compared_where_the_trials_are() -> None:
    """At the end, not at the best epoch; or at the last rung, where too few trials have come to the end."""
    trials = halved_search(np.random.default_rng(1))
    bleus: dict[int, list[float]] = {
        0: [30.0, 28.0, 26.0],
        1: [20.0, 21.0, 24.0],
        2: [31.0, 29.0, 27.5],
        3: [22.0, 23.0, 22.5],
        4: [9, 9, 9],
    }
    finals = [
        line_of(number, epoch, valid_bleu=scores[place])
        for place, epoch in enumerate((2, 4, 8))
        for number, scores in bleus.items()
    ]
    ranking = [
        replace(entry(rank, trial, 20.0, 1, {}), final_trials=numbers)
        for rank, (trial, numbers) in enumerate([(5, [3, 0]), (1, [2, 1]), (7, [4])], 1)
    ]
    seen = observe(HALVED, trials, finals, ranking)
    assert seen is not None and seen.seeds == [[22.5, 26.0], [27.5, 24.0]], "one seed alone tells nothing"
    assert seen.trials == list(range(40)) and seen.configurations == [trial.params for trial in trials]
    for trial, row, progress in zip(trials, seen.scores, seen.progress, strict=True):
        assert row.tolist() == pytest.approx([trial.scores.get(e, math.nan) for e in (2, 4, 8)], nan_ok=True)
        assert progress.tolist() == [2, 4, 8]

    kept = [trial for trial in trials if trial.outcome == "completed"][:3]  # one fewer than are enough
    early = observe(HALVED, [t for t in trials if t.outcome == "stopped" or t in kept], finals, ranking)
    assert early is not None and early.scores.shape[1] == 2 and early.seeds == [[23.0, 28.0], [29.0, 21.0]]


HALVED = Experiment.model_validate(
    {
        "training": {"epochs": 8},
        "space": {
            "model.encoder_layers": {"values": [1, 2, 3]},
            "model.dropout": {"values": [0.0, 0.1]},
            "model.ffn_dim": {"values": [256, 512]},
        },
        "search": {"scheduler": {"rungs": [2, 4]}},
    }
)
TRUTH = {"model.encoder_layers": 1.0, "model.dropout": 1.0, "model.ffn_dim": 0.0}


def halved_search(rng: np.random.Generator, size: int = 40) -> list[StudyTrial]:
    """Half of the trials pass each rung. Dropout does nothing before the first, and half of its work by the second."""
    drawn = [{path: d.at(rng.random()) for path, d in HALVED.space.domains.items()} for _ in range(size)]
    layers, dropout = (np.array([float(str(p[path])) for p in drawn]) for path in list(TRUTH)[:2])
    own = layers + rng.normal(0, 0.4, size)
    table = {
        2: 15 + 0.7 * own + rng.normal(0, 0.4, size),
        4: 22 + 0.85 * (own + 5 * dropout) + rng.normal(0, 0.25, size),
        8: 30 + own + 10 * dropout,
    }
    going, trials = np.arange(size), []
    last = np.full(size, 2)
    for rung, following in ((2, 4), (4, 8)):
        going = going[np.argsort(-table[rung][going])[: len(going) // 2]]
        last[going] = following
    for number, (params, end) in enumerate(zip(drawn, last, strict=True)):
        scores = {epoch: float(score[number]) for epoch, score in table.items() if epoch <= end}
        state = TrialState.COMPLETE if end == 8 else TrialState.PRUNED
        outcome = Outcome.COMPLETED if end == 8 else Outcome.STOPPED
        known = Attributes(outcome, others={"truth": float(table[8][number])})
        trials.append(StudyTrial(number, number, params, state, scores, known, scores.get(8)))
    return trials


def test_effects_of_a_halved_search_are_those_of_whole_training() -> None:
    """Though those who went on are alike, and the others were seen before dropout showed what it does."""
    rng = np.random.default_rng(5)
    sizes: dict[str, list[float]] = {path: [] for path in TRUTH}
    held = 0
    for _ in range(100):
        seen = observe(HALVED, halved_search(rng), [], [])
        assert seen is not None
        found = analyse(HALVED.space, seen)
        for path, truth in TRUTH.items():
            estimate = effect_of(found, path).largest
            sizes[path].append(estimate.size)
            held += abs(estimate.size - truth) <= estimate.margin
    for path, truth in TRUTH.items():
        assert np.mean(sizes[path]) == pytest.approx(truth, abs=0.25)
    assert 0.9 < held / 300 < 0.99, "95% intervals"


def test_what_was_stopped_counts_and_what_has_no_score_does_not() -> None:
    trials = halved_search(np.random.default_rng(1))
    trials.append(StudyTrial(40, 40, trials[0].params, TrialState.PRUNED, {1: 3.0}, Attributes(Outcome.DIVERGED)))
    seen = observe(HALVED, trials, [], [])
    assert seen is not None and seen.scores.shape == (40, 3)
    assert "40 trials, 10 of them final" in seen.basis and "1 trial is left out" in seen.basis
    last = analyse(HALVED.space, seen).scores
    expected = {number: score.value for number, score in last.items()}
    assert all(expected[trial.number] == trial.scores[8] for trial in trials if trial.outcome == "completed")
    assert all(20 < expected[trial.number] < 40 for trial in trials[:40]), "as final scores are"

    for trial in trials[:40]:
        trial.scores.pop(8, None)
        trial.attributes = replace(trial.attributes, outcome=Outcome.STOPPED)
    early = observe(HALVED, trials, [], [])
    assert early is not None and early.scores.shape == (40, 2) and "up to epoch 4" in early.basis
    reached = {
        n for n, score in analyse(HALVED.space, early).scores.items() if score.as_text("epoch").endswith(" at epoch 4")
    }
    assert reached == {trial.number for trial in trials[:40] if 4 in trial.scores}, "measured, though stopped there"
    assert observe(HALVED, trials[40:], [], []) is None


def test_a_forecast_says_where_it_comes_from_and_how_sure_it_is() -> None:
    rng = np.random.default_rng(0)
    held: list[bool] = []
    for _ in range(50):
        trials = halved_search(rng)
        seen = observe(HALVED, trials, [], [])
        assert seen is not None
        found = analyse(HALVED.space, seen)
        for trial in trials:
            score = found.scores[trial.number]
            if trial.outcome == "completed":
                assert score.as_text("epoch") == f"{trial.scores[8]:.2f} at epoch 8" and score.margin == 0
                continue
            held.append(abs(score.value - trial.attributes.others["truth"]) <= score.margin)
            told, known = f"forecast for step 8, from step {trial.progress}", f"{score.value:.2f} ± {score.margin:.3g}"
            cannot = f"{score.value:.2f}, {told}: these trials cannot tell it"
            assert score.as_text("step") == (cannot if 2 * score.margin > seen.scale else f"{known}, {told}")
    assert 0.9 < np.mean(held) < 0.99, "95% intervals"
    wide = sum(score.is_wide for score in found.scores.values())
    assert counted(found).startswith("10 scores were measured at epoch 8, 30 are forecasts for stopped")
    assert f"cannot tell {wide} of the forecasts" in counted(found)


def test_an_interval_wider_than_the_scores_reads_as_trials_that_are_missing() -> None:
    """On a grid of noise alone: eight scores that span 2.8 standard deviations on average, intervals 3.9."""
    names = ("encoder_layers", "decoder_layers", "num_heads")
    space = SearchSpace.model_validate({f"model.{name}": {"values": [1, 2]} for name in names})
    grid, rng = list(space.grid()), np.random.default_rng(0)
    seen = observations(grid, rng.normal(30, 1, 8))
    found = analyse(space, seen)
    assert all(2 * effect.largest.margin > seen.scale for effect in found.effects)
    said = effect_sentences(found, "BLEU") + interaction_sentences(found, "BLEU")
    assert said == [
        "These 8 trials cannot tell what decoder_layers or encoder_layers or num_heads does; about 25 would.",
        "These 8 trials cannot tell whether a setting changes what another does (3 pairs tried); about 70 would.",
    ]
    enough = observations(grid * 3, rng.normal(30, 1, 24))
    widths = [2 * effect.largest.margin / enough.scale for effect in analyse(space, enough).effects]
    assert widths == pytest.approx([0.5] * 3, abs=0.15), "half of the scale, as was said"

    # Of words, one that can't be told leaves none of them a number; a sure interaction keeps its sentence.
    words = [Estimate("relu", 2.0, 0.5, None, None), Estimate("gelu", -0.5, 9.0, None, 40)]
    effect = Effect("model.activation", words, [], 8)
    paths, steps = ("model.num_heads", "model.d_model"), ("one more head", "each doubling of d_model")
    sure = replace(found, effects=[effect], interactions=[Interaction(paths, steps, words[1], 0.01)])
    assert effect_sentences(sure, "BLEU") == ["These 8 trials cannot tell what activation does; about 40 would."]
    assert interaction_sentences(sure, "BLEU") == ["What num_heads does depends on d_model (p = 0.01)."]


def test_a_hyperparameter_that_some_trials_lack_is_judged_among_those_that_have_it() -> None:
    space = SearchSpace.model_validate(
        {
            "model.positions": {"values": ["rotary", "relative"]},
            "model.max_distance": {"values": [4, 16]},
            "model.dropout": {"values": [0.0, 0.1]},
        }
    )
    trials: list[Params] = []
    for dropout in (0.0, 0.1):
        trials += [{"model.positions": "rotary", "model.dropout": dropout}] * 2
        trials += [
            {"model.positions": "relative", "model.max_distance": far, "model.dropout": dropout} for far in (4, 16)
        ]
    scores = [10.0, 10.0, 12.0, 15.0, 11.0, 11.0, 13.0, 16.0]
    found = analyse(space, observations(trials, scores))
    distance = effect_of(found, "model.max_distance")
    assert distance.trials == 4 and distance.largest.size == pytest.approx(3)
    assert effect_of(found, "model.positions").largest.size == pytest.approx(3.5)
    assert effect_of(found, "model.dropout").largest.size == pytest.approx(1)


def test_it_says_what_it_cannot_say() -> None:
    grid = list(GRID.grid())
    few = analyse(GRID, observations(grid[::7], range(6)))
    assert not few.effects and few.needed == 9
    assert "9 are needed" in effect_sentences(few, "BLEU")[0]

    # Heads rise with layers, and dropout never changes.
    together = [p for p in grid if (p["model.encoder_layers"] == 1) == (p["model.num_heads"] == 4)]
    together = [p for p in together if p["model.dropout"] == 0.0] * 4
    found = analyse(GRID, observations(together, np.random.default_rng(0).normal(size=len(together))))
    assert {effect.path for effect in found.effects} == {"model.activation"}
    said = " ".join(effect_sentences(found, "BLEU"))
    assert "encoder_layers: its effect is unknown, as it varied together with num_heads" in said
    assert "num_heads: its effect is unknown, as it varied together with encoder_layers" in said
    assert "dropout: its effect is unknown, as all these trials have the same value" in said


def test_sentences_tell_effects_from_the_noise_of_seeds() -> None:
    space = SearchSpace.model_validate(
        {
            "model.encoder_layers": {"values": [1, 2]},
            "model.decoder_layers": {"values": [1, 2, 3]},
            "model.num_heads": {"values": [4, 8]},
            "model.d_model": {"values": [128, 256]},
        }
    )
    grid = list(space.grid())
    rng = np.random.default_rng(2)

    def score(p: Params) -> float:
        encoder, decoder, model = (
            int(str(p[f"model.{name}"])) for name in ("encoder_layers", "decoder_layers", "d_model")
        )
        return 30 - 0.4 * encoder + 0.9 * decoder + 2.0 * (encoder == 2) * (model == 256) + float(rng.normal(0, 0.1))

    seeds = [[30.0, 30.2, 30.1], [29.9, 30.1, 30.0]]
    found = analyse(space, observations(grid, [score(p) for p in grid], seeds))
    said = effect_sentences(found, "BLEU")
    assert any(sentence.startswith("One more decoder layer: +0.9") and "±" in sentence for sentence in said)
    assert any(
        "Not distinguishable from seed noise (a standard deviation of 0.10 BLEU" in s and "num_heads" in s for s in said
    )
    together = interaction_sentences(found, "BLEU")
    assert len(together) == 1 and "one more encoder layer does changes by +2.0" in together[0]
    assert "d_model 256 instead of 128 (p < 0.001)" in together[0]


def test_importances_add_up_and_name_what_matters() -> None:
    rng = np.random.default_rng(0)
    space = SearchSpace.model_validate(
        {
            "training.learning_rate": {"min": 0.0001, "max": 0.01, "distribution": "log_uniform_values"},
            "model.dropout": {"values": [0.0, 0.1, 0.2]},
            "model.activation": {"values": ["relu", "gelu"]},
        }
    )
    drawn = [{path: d.at(rng.random()) for path, d in space.domains.items()} for _ in range(40)]
    scores = np.array([-abs(np.log(float(str(p["training.learning_rate"])) / 0.001)) for p in drawn])
    found = importances(space, drawn, scores)
    assert found[0].path == "training.learning_rate"
    assert sum(each.fanova or 0 for each in found) == pytest.approx(1)
    assert sum(each.ped_anova for each in found) == pytest.approx(1)
    assert found == importances(space, drawn, scores), "the same numbers every time"
    assert importances(space, drawn[:5], scores[:5]) == []
    assert "fANOVA asks" in disagreement(found)


def test_a_number_has_its_sign_and_as_many_places_as_its_unit_needs() -> None:
    assert [signed(n, "BLEU") for n in (0.904, -0.396, 0.0)] == ["+0.90", "−0.40", "+0.00"]
    assert [signed(n, "loss per token") for n in (0.00904, -0.00396)] == ["+0.0090", "−0.0040"]


def test_the_words_tell_the_largest_and_all_that_is_sure() -> None:
    words = [
        Estimate(n, size, 0.5, None, needed) for n, size, needed in (("a", 2.0, None), ("b", -3.0, 40), ("c", 1.0, 70))
    ]
    effect = Effect("model.activation", words, [], 8)
    assert effect.largest.label == "b" and effect.needed == 70
    paths = ("model.d_model", "model.dropout")
    pairs = [Interaction(paths, None, None, chance) for chance in (0.0005, 0.002, 0.04, 0.2)]
    found = Analysis([], pairs, 6, None, [], None, {}, "at epoch 4")
    depends = "What d_model does depends on dropout"
    assert interaction_sentences(found, "BLEU") == [
        f"{depends} ({chance})." for chance in ("p < 0.001", "p = 0.002", "p = 0.04")
    ]


def test_the_two_that_the_methods_differ_on_most_are_explained() -> None:
    shares = {"one": (0.5, 0.2), "two": (0.1, 0.55), "three": (0.4, 0.0), "four": (0.0, 0.25), "five": (0.1, 0.1)}
    said = disagreement([Importance(f"model.{name}", *both) for name, both in shares.items()])
    assert said.partition("They disagree: ")[2] == (
        "two sets the best trials apart, though it changes scores little over the whole space (10% by fANOVA, "
        "55% by PED-ANOVA); three changes scores, but the best trials differ little in it from all others "
        "(40% by fANOVA, 0% by PED-ANOVA)."
    )


def test_nothing_is_needed_for_no_scale_or_a_wide_one() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(20), rng.normal(size=20)])
    found, weights = fit(columns, (columns[:, 1] + rng.normal(size=20))[:, None]), np.array([0.0, 1.0])
    margin = found.margin(weights)
    assert found.needed(weights, 0.0) is None and found.needed(weights, 2 * margin) is None
    trials = found.needed(weights, 1.9 * margin)
    assert trials and trials > 20, "an interval of 2 margins, to be 0.95 wide"


def composed(stages: list[np.ndarray]) -> np.ndarray:
    """The coefficients of the last score, of those of each stage: from the second, its share of the score before."""
    found = stages[0]
    for share, *own in stages[1:]:
        found = share * found + own
    return found


def test_of_three_stages_every_number_is_what_each_regression_says_put_together() -> None:
    """Errors by the delta method, with slopes taken numerically; ridge regressions as ones with more rows."""
    rng = np.random.default_rng(4)
    trials, ends = 24, np.repeat([1, 2, 3], 8)  # how many stages each has come to
    columns = np.column_stack([np.ones(trials), rng.normal(size=(trials, 2))])
    scores = np.cumsum(rng.normal(0, 1, (trials, 3)) + columns[:, 1:2], axis=1)
    scores[np.arange(3) >= ends[:, None]] = np.nan
    found = fit(columns, scores)

    stages, covariances, freedoms, residuals, completed = [], [], [], [], scores.copy()
    for stage in range(3):
        here = ends > stage
        rows = columns if stage == 0 else np.column_stack([completed[:, stage - 1], columns])
        ridge = np.zeros((0, 3)) if stage == 0 else np.diag([0.0, 0.0, *columns[:, 1:].std(axis=0)])
        more, target = np.vstack([rows[here], ridge]), np.append(scores[here, stage], np.zeros(len(ridge)))
        answer = np.linalg.lstsq(more, target, rcond=None)[0]
        inverse = np.linalg.inv(more.T @ more)
        freedoms.append(here.sum() - np.trace(rows[here] @ inverse @ rows[here].T))
        residuals.append(((scores[here, stage] - rows[here] @ answer) ** 2).sum() / freedoms[-1])
        stages.append(answer)
        covariances.append(inverse * residuals[-1])
        completed[~here, stage] = rows[~here] @ answer
    assert found.coefficients == pytest.approx(composed(stages))
    assert found.completed == pytest.approx(completed)

    weights = np.array([0.0, 1.0, -2.0])
    variances = []
    for stage, answer in enumerate(stages):
        slopes = []
        for place in range(len(answer)):
            moved = [each.copy() for each in stages]
            moved[stage][place] += 1e-6
            slopes.append(weights @ (composed(moved) - composed(stages)) / 1e-6)
        variances.append(np.array(slopes) @ covariances[stage] @ np.array(slopes))
    total = sum(variances)
    for growth in (1.0, 3.0):
        grown = [f + (growth - 1) * trials * share for f, share in zip(freedoms, (1, 2 / 3, 1 / 3), strict=True)]
        freedom = total**2 / sum(v**2 / f for v, f in zip(variances, grown, strict=True))
        margin = scipy.stats.t.ppf(0.975, freedom) * (total / growth) ** 0.5
        assert found.margin(weights, growth) == pytest.approx(margin, rel=1e-4)

    for trial, end in enumerate(ends):
        own = []
        for stage in (1, 2):
            row = np.append(completed[trial, stage - 1], columns[trial])
            own.append(residuals[stage] + row @ covariances[stage] @ row)
        parts = {1: [stages[2][0] ** 2 * own[0], own[1]], 2: [0.0, own[1]], 3: [0.0, 0.0]}[end]
        spread = sum(parts)
        margin = 0.0
        if spread:
            freedom = spread**2 / sum(part**2 / f for part, f in zip(parts, freedoms[1:], strict=True))
            margin = scipy.stats.t.ppf(0.975, freedom) * spread**0.5
        assert found.margins[trial] == pytest.approx(margin)


@pytest.mark.parametrize("narrower", [1.01, 1.5, 4.0, 12.0, 40.0])
def test_the_trials_that_are_needed_halve_the_scale_by_a_search_for_them(narrower: float) -> None:
    """In steps of 5%, then up to a number that reads as about so many."""
    rng = np.random.default_rng(0)
    columns = np.column_stack([np.ones(8), np.tile([-0.5, 0.5], 4)])
    scores = columns[:, 1] + rng.normal(size=8)
    found, weights = fit(columns, scores[:, None]), np.array([0.0, 1.0])
    deviation = (squares(columns, scores) / 6) ** 0.5
    scale = 2 * found.margin(weights) / narrower
    growth = 1.0
    while 4 * scipy.stats.t.ppf(0.975, 8 * growth - 2) * deviation / (2 * growth) ** 0.5 > scale:
        growth *= 1.05
    unit = next(unit for most, unit in ((10, 1), (100, 5), (1000, 50), (10_000, 500), (1e6, 5000)) if 8 * growth < most)
    assert found.needed(weights, scale) == math.ceil(8 * growth / unit) * unit


EIGHT = SearchSpace.model_validate(
    {f"model.{name}": {"values": [1, 2]} for name in ("encoder_layers", "decoder_layers", "num_heads")}
)
CORNERS = list(EIGHT.grid())


@pytest.mark.parametrize(
    ("trials", "pairs"),
    [
        (CORNERS, 3),  # 8 trials, 5 coefficients: 3 are left
        (CORNERS[:7], 0),  # 2 are left
        ([p for p in CORNERS if sum(map(int, map(str, p.values()))) % 2] * 3, 0),  # each product is the third setting
    ],
)
def test_a_pair_is_tried_where_trials_are_left_to_tell_it(trials: list[Params], pairs: int) -> None:
    found = analyse(EIGHT, observations(trials, np.random.default_rng(0).normal(30, 1, len(trials))))
    assert found.needed is None and len(found.effects) == 3
    assert found.pairs == len(found.interactions) == pairs
    few = ["Too few trials to say whether one setting changes what another does."]
    assert (interaction_sentences(found, "BLEU") == few) == (not pairs)
    assert all(each.needed == 7 for each in [analyse(EIGHT, observations(CORNERS[:6], range(6)))])


def test_a_setting_goes_along_with_the_two_that_are_most_like_it() -> None:
    """Warm-up is a sum of the other four, none of which is much like it alone."""
    names = ("num_heads", "ffn_dim", "decoder_layers", "encoder_layers")
    space = SearchSpace.model_validate(
        {**{f"model.{name}": {"values": [1, 2]} for name in names}, "training.warmup_steps": {"min": 0, "max": 14}}
    )
    grid: list[Params] = []
    for bits in np.ndindex(2, 2, 2, 2):
        grid.append({f"model.{name}": 1 + bit for name, bit in zip(names, bits, strict=True)})
        grid[-1]["training.warmup_steps"] = int(np.dot((2, 3, 4, 5), bits))
    not_estimated = dict(analyse(space, observations(grid, range(16))).not_estimated)
    assert not_estimated["training.warmup_steps"] == "it varied together with encoder_layers and decoder_layers"
    assert not_estimated["model.num_heads"].startswith("it varied together with warmup_steps")


def test_each_setting_is_in_the_sentence_of_its_verdict() -> None:
    def effect(name: str, *estimates: Estimate) -> Effect:
        return Effect(f"model.{name}", list(estimates), [], 9)

    effects = [
        effect("activation", Estimate("relu", 2.0, 0.5, 0.25, None), Estimate("gelu", -2.0, 0.5, 0.25, None)),
        effect("num_heads", Estimate("one more head", -1.5, 0.5, 0.25, None)),
        effect("dropout", Estimate("dropout 0.2 instead of 0.1", 1.0, 0.5, 0.25, None)),
        effect("norm", Estimate("each doubling of norm", 0.4, 0.5, 0.25, None)),
        effect("d_model", Estimate("", 0.2, 0.5, 0.25, None)),
        effect("ffn_dim", Estimate("", -0.1, 0.5, 0.25, None)),
    ]
    scores = {n: Score(30.0, 4, None, 0.0, False) for n in range(9)}
    found = Analysis(effects, [], 0, Noise(0.125, 1), [("model.tied", "why")], None, scores, "at epoch 4")
    clear = [
        "activation, relative to the mean of its values: relu +2.00 ± 0.50, gelu −2.00 ± 0.50 BLEU.",
        "One more head: −1.50 ± 0.50 BLEU.",
        "dropout 0.2 instead of 0.1: +1.00 ± 0.50 BLEU.",
    ]
    seeds = "a standard deviation of 0.12 BLEU, with 1 degree of freedom"
    unsure = "each doubling of norm: +0.40 ± 0.50 BLEU."
    assert effect_sentences(found, "BLEU") == [
        *clear,
        f"Not distinguishable from seed noise ({seeds}): d_model, ffn_dim.",
        f"More than seed noise, but not significant in these trials: {unsure}",
        "tied: its effect is unknown, as why.",
    ]
    alone = effect("norm", Estimate("each doubling of norm", 0.4, 0.5, None, None))
    assert effect_sentences(replace(found, effects=[alone], seeds=None, not_estimated=[]), "BLEU") == [
        "No setting has a significant effect in these trials.",
        f"Not distinguishable from noise (seeds, and all that these effects do not explain): {unsure}",
    ]
    paths, steps = ("model.num_heads", "model.d_model"), ("one more head", "each doubling of d_model")
    sign = Interaction(paths, steps, Estimate("", -0.5, 0.75, None, None), 0.25)
    none = "No setting significantly changes what another does (1 pair tried)."
    assert interaction_sentences(replace(found, pairs=1, interactions=[sign]), "BLEU") == [
        f"{none} The strongest sign: What one more head does changes by −0.50 ± 0.75 BLEU with each doubling of "
        "d_model (p = 0.25)."
    ]
    assert interaction_sentences(replace(found, pairs=1, interactions=[replace(sign, chance=1.0)]), "BLEU") == [none]
    assert interaction_sentences(replace(found, needed=9), "BLEU") == interaction_sentences(found, "BLEU") != []
    assert interaction_sentences(replace(found, effects=[], needed=9), "BLEU") == []


@pytest.mark.parametrize(("size", "share"), [(10, 0.5), (40, 0.125), (80, 0.1)])
def test_importances_are_optunas_of_the_best_tenth_or_five(size: int, share: float) -> None:
    rng = np.random.default_rng(1)
    drawn = [{path: d.at(rng.random()) for path, d in GRID.domains.items()} for _ in range(size)]
    scores = rng.normal(size=size) + [int(str(p["model.num_heads"])) / 4 for p in drawn]
    study = optuna.create_study(direction="maximize")
    kinds = GRID.to_optuna()
    for params, score in zip(drawn, scores, strict=True):
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=float(score)))
    best = PedAnovaImportanceEvaluator(target_quantile=share)
    expected = optuna.importance.get_param_importances(study, evaluator=best)
    found = importances(GRID, drawn, scores)
    assert {each.path: each.ped_anova for each in found} == pytest.approx(expected)
    largest = [max(each.fanova or 0.0, each.ped_anova) for each in found]
    assert largest == sorted(largest, reverse=True)
    if size == 10:
        assert importances(GRID, drawn[:9], scores[:9]) == importances(GRID, drawn, np.ones(10)) == []
