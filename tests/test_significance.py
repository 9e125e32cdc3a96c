"""What is said of systems that are known to differ or not: against sacreBLEU's command line, and by simulation."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from boards import TEST_BLEU
from hypothesis import given
from hypothesis import strategies as st

from search.finals.item_tests import RESAMPLES, SHUFFLES, resampled_sums
from search.finals.significance import Evidence, SeedNoise, System, compare, groups, holm, interval, seed_noise, weigh
from trainables.data.corpora.scoring import Scoring
from trainables.scoring.bleu import bleu_of_sums, sentence_statistics
from trainables.scoring.metrics import mean_of_sums


def weigh_bleu(systems: list[list[np.ndarray]]) -> Evidence:
    return weigh([[(seed,) for seed in seeds] for seeds in systems], TEST_BLEU)


def interval_of(system: System, noise: SeedNoise) -> tuple[float, float]:
    return interval(system, noise, TEST_BLEU.bounds)


def texts(quality: float, sentences: int = 150, seed: int = 1) -> tuple[list[str], list[str]]:
    """Translations that have this share of the words right, and their references, which depend on neither."""
    rng, chance = np.random.default_rng(0), np.random.default_rng(seed)
    references = [[f"w{i}" for i in rng.integers(300, size=rng.integers(5, 20))] for _ in range(sentences)]
    translations = [[word if chance.random() < quality else "wrong" for word in text] for text in references]
    return [" ".join(text) for text in translations], [" ".join(text) for text in references]


def statistics(quality: float, sentences: int = 150, seed: int = 1) -> np.ndarray:
    return sentence_statistics(*texts(quality, sentences, seed), Scoring("13a"))


def sacrebleu(folder: Path, test: str, samples: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "sacrebleu", "reference", "-i", "0", "1", "2", "3"]
    options = [f"--paired-{test}", f"--paired-{test}-n", str(samples), "--format", "json", "--metrics", "bleu"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return [line["BLEU"] for line in lines]


def test_the_p_values_are_those_of_sacrebleus_command_line(tmp_path: Path) -> None:
    systems = [texts(quality, seed=seed) for seed, quality in enumerate((0.82, 0.8, 0.79, 0.74), 5)]
    (tmp_path / "reference").write_text("\n".join(systems[0][1]) + "\n")
    for number, (translations, _) in enumerate(systems):
        (tmp_path / str(number)).write_text("\n".join(translations) + "\n")
    evidence = weigh_bleu([[sentence_statistics(*system, Scoring("13a"))] for system in systems])
    bootstrap, randomisation = sacrebleu(tmp_path, "bs", RESAMPLES), sacrebleu(tmp_path, "ar", SHUFFLES)
    for pair in evidence.comparisons[:3]:  # of the first with each other one
        assert pair.a == 0
        assert pair.p_bootstrap == pytest.approx(bootstrap[pair.b]["p_value"], abs=1e-12)
        assert pair.p_randomisation == pytest.approx(randomisation[pair.b]["p_value"], abs=1e-12)
        assert pair.difference == pytest.approx(bootstrap[0]["score"] - bootstrap[pair.b]["score"], abs=1e-9)
    assert sum(0.001 < line["p_value"] < 0.9 for line in (*bootstrap[1:], *randomisation[1:])) >= 2, "a test of some"
    for (low, high), line in zip(evidence.intervals, bootstrap, strict=True):
        assert (high - low) / 2 == pytest.approx(line["ci"], abs=0.02)

    worst = [max(pair.p_nested, pair.p_randomisation) for pair in evidence.comparisons]
    assert [pair.p_holm for pair in evidence.comparisons] == pytest.approx(holm(worst))
    assert [(pair.a, pair.b) for pair in evidence.comparisons] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert evidence.groups == groups(4, {(pair.a, pair.b): pair.p_holm < 0.05 for pair in evidence.comparisons})


def test_equal_systems_share_a_group_and_a_clear_difference_opens_one() -> None:
    good, worse = statistics(0.9), statistics(0.7)
    evidence = weigh_bleu([[good], [good.copy()], [worse]])
    assert evidence.groups == [1, 1, 2]
    same, apart, _ = evidence.comparisons
    assert (same.a, same.b, apart.a, apart.b) == (0, 1, 0, 2)
    assert same.difference == 0 and same.ci == (0, 0)
    assert same.p_bootstrap == same.p_randomisation == same.p_nested == same.p_holm == 1
    assert apart.p_holm < 0.001 and apart.ci[0] > 10
    assert weigh_bleu([[good]]).groups == [1] and weigh_bleu([[good]]).comparisons == []
    assert evidence == weigh_bleu([[good], [good.copy()], [worse]]), "the same numbers each time"


def test_differences_are_paired() -> None:
    """Two systems whose intervals overlap are told apart, because one is better on the same sentences."""
    better = statistics(0.8, sentences=100)
    worse = better.copy()
    worse[:, 2:6] = np.maximum(worse[:, 2:6] - 0.2, 0)
    evidence = weigh_bleu([[better], [worse]])
    assert evidence.intervals[1][1] > evidence.intervals[0][0]
    assert evidence.groups == [1, 2]


def test_intervals_narrow_with_more_sentences_and_with_seeds_that_agree() -> None:
    def width(*seeds: np.ndarray) -> float:
        ((low, high),) = weigh_bleu([list(seeds)]).intervals
        assert low < np.mean([bleu_of_sums(seed.sum(axis=0)) for seed in seeds]) < high
        return high - low

    few, many = width(statistics(0.8, 100)), width(statistics(0.8, 1600))
    assert 3 < few / many < 5.5, "the square root of 16"
    one, again = statistics(0.8), statistics(0.8, seed=2)
    assert width(one, one.copy(), one.copy()) == pytest.approx(width(one), rel=1e-3)
    assert width(one, again, statistics(0.8, seed=3)) < width(one, again), "three seeds say more of seeds than two"


def test_seeds_that_differ_keep_together_what_one_seed_each_would_tell_apart() -> None:
    def difference(*qualities: float) -> list[np.ndarray]:
        return [statistics(quality, 800, seed=seed) for seed, quality in enumerate(qualities, 1)]

    alone = weigh_bleu([difference(0.85), difference(0.8)])
    assert alone.groups == [1, 2] and alone.noise.degrees == 0
    spread = weigh_bleu([difference(0.85, 0.79), difference(0.8, 0.75)])
    assert spread.groups == [1, 1] and spread.noise.degrees == 2
    assert spread.comparisons[0].p_randomisation < 0.01 < 0.05 < spread.comparisons[0].p_nested
    steady = weigh_bleu([difference(0.85, 0.85), difference(0.8, 0.8)])
    assert steady.groups == [1, 2]
    unequal = weigh_bleu([difference(0.85, 0.85), difference(0.8)])  # a retraining failed
    assert unequal.noise.degrees == 1 and len(unequal.comparisons) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_procedure_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= adjusted <= 1 for p, adjusted in zip(p_values, corrected, strict=True))
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[index] * (len(p_values) - step) >= level:
                break
            rejected.add(index)
        assert rejected == {index for index, adjusted in enumerate(corrected) if adjusted < level}


def test_holm_as_in_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_a_group_is_led_by_its_best_system_not_by_the_one_before() -> None:
    # Each is close to the next, and apart from the one after that.
    apart = {(a, b): b - a >= 2 for a in range(5) for b in range(a + 1, 5)}
    assert groups(5, apart) == [1, 1, 2, 2, 3]


# Simulated systems: each word is right with a probability whose logit is a constant plus the luck of the seed, of the
# sentence, and of both together. A metric that is a mean scores a sentence by that probability.
SEED_STD, SENTENCE_STD, BOTH_STD = 0.15, 0.6, 0.6
SENTENCES, EXPERIMENTS = 120, 200


def simulate(metric: str, rng: np.random.Generator, seed_effects: np.ndarray, sentences: int) -> np.ndarray:
    """Sentence statistics of systems with the given luck, (systems, seeds): (sentences, systems, seeds, k)."""
    systems, seeds = seed_effects.shape
    logits = 2.2 + seed_effects + rng.normal(0, SENTENCE_STD, (sentences, systems, 1))
    logits = logits + rng.normal(0, BOTH_STD, (sentences, systems, seeds))
    if metric == "mean":
        return np.stack([1 / (1 + np.exp(-logits)), np.ones_like(logits)], axis=-1)
    lengths = rng.integers(6, 21, (sentences, systems, 1))
    right = rng.random((sentences, systems, seeds, 20), dtype=np.float32) < 1 / (1 + np.exp(-logits))[..., None]
    right &= np.arange(20) < lengths[..., None]
    columns = [np.broadcast_to(lengths, logits.shape)] * 2
    runs = right
    for order in range(4):
        runs = runs[..., : 20 - order] & right[..., order:]
        columns.append(runs.sum(axis=-1))
    columns += [np.broadcast_to(lengths - order, logits.shape) for order in range(4)]
    return np.stack(columns, axis=-1).astype(np.float64)


OF_SUMS = {"bleu": bleu_of_sums, "mean": mean_of_sums}
METRICS = pytest.mark.parametrize("metric", OF_SUMS)


@cache
def curve(metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The true score of a model by the luck of its seed."""
    effects = np.linspace(-0.6, 0.6, 13)
    sums = simulate(metric, np.random.default_rng(1), effects[:, None], 12_000).sum(axis=0)
    return effects, OF_SUMS[metric](sums)[:, 0]


def true_score(metric: str, seed_effects: np.ndarray) -> np.ndarray:
    return np.interp(seed_effects, *curve(metric))


@cache
def draw(metric: str, seeds: int, systems: int) -> tuple[list[list[System]], np.ndarray]:
    """EXPERIMENTS rankings of so many systems, and the luck of their seeds (experiments, systems, seeds)."""
    rng = np.random.default_rng(10 * seeds + systems)
    effects = rng.normal(0, SEED_STD, (EXPERIMENTS * systems, seeds))
    statistics = simulate(metric, rng, effects, SENTENCES)
    observed = OF_SUMS[metric](statistics.sum(axis=0))
    resampled = OF_SUMS[metric](resampled_sums(statistics, 1000))
    scored = [System(observed[i], resampled[:, i]) for i in range(len(observed))]
    rankings = [scored[i : i + systems] for i in range(0, len(scored), systems)]
    return rankings, effects.reshape(EXPERIMENTS, systems, seeds)


MEAN = np.random.default_rng(2).normal(0, SEED_STD, 100_000)


@METRICS
@pytest.mark.parametrize(("seeds", "systems"), [(2, 1), (3, 1), (2, 3), (3, 3)])
def test_the_interval_covers_the_mean_over_seeds_and_sentences(seeds: int, systems: int, metric: str) -> None:
    rankings, _ = draw(metric, seeds, systems)
    truth = true_score(metric, MEAN).mean()
    covered = []
    for ranking in rankings:
        low, high = interval_of(ranking[0], seed_noise(ranking))
        covered.append(low <= truth <= high)
    assert 0.92 <= np.mean(covered) <= 0.99  # 0.95 but for 200 tries, and somewhat too careful where t has one degree


@METRICS
def test_with_one_seed_the_interval_is_of_that_model_and_too_narrow_for_its_configuration(metric: str) -> None:
    rankings, effects = draw(metric, 1, 1)
    intervals = [interval_of(system, seed_noise([system])) for (system,) in rankings]

    def coverage(truth: np.ndarray) -> float:
        return float(np.mean([low <= t <= high for (low, high), t in zip(intervals, truth, strict=True)]))

    assert 0.91 <= coverage(true_score(metric, effects[:, 0, 0])) <= 0.98
    assert coverage(np.full(EXPERIMENTS, true_score(metric, MEAN).mean())) < 0.85


@METRICS
@pytest.mark.parametrize("seeds", [2, 3])
def test_two_seeds_of_equal_systems_are_told_apart_in_one_of_twenty_cases(seeds: int, metric: str) -> None:
    rankings, _ = draw(metric, seeds, 3)
    found = [compare(first, second, seed_noise(ranking)) for ranking in rankings for first, second, _ in [ranking]]
    assert 0.02 <= np.mean([each.p < 0.05 for each in found]) <= 0.085
    assert np.mean([(e.p < 0.05) == (not e.ci[0] <= 0 <= e.ci[1]) for e in found]) > 0.98, "they agree"


def test_the_noise_of_seeds_is_pooled_over_the_systems_that_have_several() -> None:
    rng = np.random.default_rng(3)
    systems = [System(rng.normal(30, 1, seeds), rng.normal(30, 4, (500, seeds))) for seeds in (3, 1, 2)]
    noise = seed_noise(systems)
    squares = sum(((s.observed - s.observed.mean()) ** 2).sum() for s in systems)
    # The squares among seeds, on average over the samples of sentences.
    sampled = sum(
        ((s.resampled - s.resampled.mean(axis=1, keepdims=True)) ** 2).sum() / len(s.resampled) for s in systems
    )
    assert noise.degrees == 2 + 0 + 1
    assert noise.variance == pytest.approx(squares / 3) and noise.interaction == pytest.approx((sampled - squares) / 3)
    calm = [System(system.observed, np.repeat(system.observed[None], 500, axis=0) * 0) for system in systems]
    assert seed_noise(calm).interaction == 0, "never below 0"


def chance_below(x: float, sentences: np.ndarray, seeds: float, degrees: int) -> float:
    """The probability that a sum is below x: one of these by sentences, and Student's t of this scale by seeds."""
    return float(scipy.stats.t.cdf((x - sentences) / seeds, degrees).mean())


@pytest.mark.parametrize("interaction", [0.0, 0.3, 50.0])
@pytest.mark.parametrize(("seeds", "others"), [(1, 3), (2, 2), (4, 1)])
def test_an_error_is_that_of_sentences_less_the_interaction_and_that_of_seeds(
    seeds: int, others: int, interaction: float
) -> None:
    """Each of a mean of so many seeds, by the numbers of its own: what all of the seeds' luck explains is left out."""
    rng, noise = np.random.default_rng(seeds), SeedNoise(0.8, interaction, 3)
    ours, theirs = (
        System(rng.normal(mean, 1, n), rng.normal(mean, 2, (999, n))) for mean, n in ((31, seeds), (29, others))
    )
    for share, resampled, (low, high) in (
        (1 / seeds, ours.resampled.mean(axis=1), np.array(interval_of(ours, noise)) - ours.observed.mean()),
        (
            1 / seeds + 1 / others,
            ours.resampled.mean(axis=1) - theirs.resampled.mean(axis=1),
            np.array(compare(ours, theirs, noise)[0]) - (ours.observed.mean() - theirs.observed.mean()),
        ),
    ):
        left = max(0.0, resampled.var() - interaction * share)
        sentences = (resampled - resampled.mean()) * (left / resampled.var()) ** 0.5
        assert chance_below(low, sentences, (0.8 * share) ** 0.5, 3) == pytest.approx(0.025, abs=1e-5)
        assert chance_below(high, sentences, (0.8 * share) ** 0.5, 3) == pytest.approx(0.975, abs=1e-5)
    gap, scale = abs(ours.observed.mean() - theirs.observed.mean()), (0.8 * share) ** 0.5
    beyond = chance_below(-gap, sentences, scale, 3) + 1 - chance_below(gap, sentences, scale, 3)
    for pair in ((ours, theirs), (theirs, ours)):
        assert compare(*pair, noise)[1] == pytest.approx((beyond * 999 + 1) / 1000)


def test_without_noise_of_seeds_an_error_is_that_of_the_samples() -> None:
    samples = np.arange(-50.0, 51.0)[:, None] / 10  # 101 samples
    known, other = System(np.array([30.0]), 30 + samples), System(np.array([26.0]), np.full((101, 1), 26.0))
    none = SeedNoise(0.0, 0.0, 0)
    assert interval_of(known, none) == pytest.approx((25.25, 34.75))
    (low, high), p_value, _ = compare(known, other, none)
    assert (low, high) == pytest.approx((-0.75, 8.75))
    assert p_value == pytest.approx((22 + 1) / 102), "as far as 4: eleven samples to either side"


def test_no_interval_leaves_the_range_of_bleu() -> None:
    samples, noise = np.zeros((9, 1)), SeedNoise(4.0, 0.0, 2)
    assert interval_of(System(np.array([1.0]), samples), noise)[0] == 0
    assert interval_of(System(np.array([99.0]), samples), noise)[1] == 100
    reach = 2 * scipy.stats.t.ppf(0.975, 2)
    assert interval_of(System(np.array([50.0]), samples), noise) == pytest.approx((50 - reach, 50 + reach))


def test_a_second_seed_that_writes_the_same_changes_no_test_on_sentences() -> None:
    """A system counts as much as another, however many seeds it has."""
    ours, theirs = statistics(0.81, seed=5), statistics(0.8, seed=6)
    (pair,), (again,) = weigh_bleu([[ours], [theirs]]).comparisons, weigh_bleu([[ours, ours], [theirs]]).comparisons
    assert 0.01 < pair.p_randomisation < 0.99
    assert (again.p_randomisation, again.p_bootstrap) == (pair.p_randomisation, pair.p_bootstrap)
