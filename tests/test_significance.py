"""BLEU from sentence statistics, and what the bootstrap says of systems that are known to differ or not."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from search.significance import REPLICATES, bleu_of_sums, bootstrap, groups, interval, sentence_statistics

TEXT = st.lists(st.sampled_from(["a", "b", "c", "d", "Haus", "l'été", ",", "1.5"]), max_size=9).map(" ".join)
REFERENCE = TEXT.filter(bool)


def bleu(translations: list[str], references: list[str]) -> float:
    return float(bleu_of_sums(sentence_statistics(translations, references).sum(axis=0)))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(TEXT, REFERENCE), min_size=1, max_size=6))
def test_it_is_the_bleu_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    translations, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    expected = sacrebleu.corpus_bleu(translations, [references]).score
    assert bleu(translations, references) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("translations", "references", "expected"),
    [
        (["a b c d e"], ["a b c d e"], 100.0),
        (["a b c d e f"], ["a b c d e"], None),  # too long
        (["a b c d"], ["a b c d e f g h"], None),  # too short
        (["a b x d e"], ["a b c d e"], None),  # no 3-gram: smoothed
        (["x", "a b c d"], ["y", "a b c d"], None),
        (["p q r s t"], ["a b c d e"], 0.0),  # no match
        (["a b c"], ["a b c"], 0.0),  # no sentence of four tokens
        (["", "a b c d"], ["a b", "a b c d"], None),  # an empty translation
        (["", ""], ["a b", "c"], 0.0),
        (["It's 5,000.5 francs!  "], ["It's 5,000.5 francs !"], 100.0),  # tokenized, white space aside
    ],
)
def test_it_is_the_bleu_of_sacrebleu_at_the_edges(
    translations: list[str], references: list[str], expected: float | None
) -> None:
    official = sacrebleu.corpus_bleu(translations, [references]).score
    assert bleu(translations, references) == pytest.approx(official, abs=1e-6)
    if expected is None:
        assert 0 < official < 100.0001
    else:
        assert official == pytest.approx(expected)


def test_statistics_of_many_samples_at_once() -> None:
    statistics = sentence_statistics(["a b c d", "a b x d e", "e f g h i"], ["a b c d", "a b c d e", "e f g i h"])
    assert statistics.shape == (3, 10)
    samples = np.array([[1, 1, 1], [2, 1, 0], [0, 0, 3]])
    chosen = ([0, 1, 2], [0, 0, 1], [2, 2, 2])
    expected = [float(bleu_of_sums(statistics[rows].sum(axis=0))) for rows in chosen]
    assert bleu_of_sums(samples @ statistics).tolist() == pytest.approx(expected)


def system(quality: float, seed: int = 0, sentences: int = 200) -> tuple[np.ndarray, float]:
    """Statistics and BLEU of a system that gets this share of the words right."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(300)])
    references = [words[rng.integers(300, size=rng.integers(5, 20))] for _ in range(sentences)]
    chance = np.random.default_rng(seed + 1)
    translations = [np.where(chance.random(len(text)) < quality, text, "wrong") for text in references]
    texts = [" ".join(text) for text in translations], [" ".join(text) for text in references]
    return sentence_statistics(*texts), sacrebleu.corpus_bleu(texts[0], [texts[1]]).score


def test_the_interval_holds_the_score_and_narrows_with_more_sentences() -> None:
    widths = []
    for sentences in (50, 800):
        statistics, score = system(0.8, sentences=sentences)
        replicates = bootstrap([[statistics]])
        assert replicates.shape == (REPLICATES, 1)
        low, high = interval(replicates[:, 0])
        assert low < score < high
        inside = ((replicates >= low) & (replicates <= high)).mean()
        assert inside == pytest.approx(0.95, abs=0.002)
        widths.append(high - low)
    assert 3 < widths[0] / widths[1] < 5.5  # the square root of 16


def test_equal_systems_have_equal_replicates_and_share_a_group() -> None:
    statistics, _ = system(0.8)
    replicates = bootstrap([[statistics], [statistics.copy()], [statistics, statistics]])
    assert replicates.shape == (REPLICATES, 3)
    assert (replicates == replicates[:, :1]).all()
    assert replicates.std() > 0
    assert groups(replicates) == [1, 1, 1]
    assert (bootstrap([[statistics]]) == bootstrap([[statistics]])).all()
    assert (bootstrap([[statistics]], seed=1) != bootstrap([[statistics]], seed=2)).any()


def test_a_clear_difference_opens_a_group_and_a_tiny_one_does_not() -> None:
    good, tiny, worse, bad = (system(quality)[0] for quality in (0.9, 0.899, 0.7, 0.69))
    scores = [float(bleu_of_sums(statistics.sum(axis=0))) for statistics in (good, tiny, worse, bad)]
    assert scores == sorted(scores, reverse=True)
    replicates = bootstrap([[good], [tiny], [worse], [bad]])
    assert groups(replicates)[:3] == [1, 1, 2]
    assert groups(replicates[:, :1]) == [1]


def test_differences_are_paired() -> None:
    """Two systems whose intervals overlap are told apart, because one is better on the same sentences."""
    statistics, _ = system(0.8, sentences=100)
    worse = statistics.copy()
    worse[:, 2:6] = np.maximum(worse[:, 2:6] - 0.2, 0)
    replicates = bootstrap([[statistics], [worse]])
    assert interval(replicates[:, 1])[1] > interval(replicates[:, 0])[0]
    assert groups(replicates) == [1, 2]


def test_a_group_is_led_by_its_best_system_not_by_the_one_before() -> None:
    rng = np.random.default_rng(0)
    replicates = np.array([30.0, 29.0, 28.0, 27.0]) + rng.normal(0, 0.55, (REPLICATES, 4))
    # Each differs from the next by 1 ± 0.78 (not clear), from the one after that by 2 ± 0.78 (clear).
    assert groups(replicates) == [1, 1, 2, 2]


@pytest.mark.parametrize(("wins", "expected"), [(974, [1, 1]), (975, [1, 2])])
def test_it_takes_975_of_1000_replicates_to_open_a_group(wins: int, expected: list[int]) -> None:
    first = np.where(np.arange(1000) < wins, 2.0, 1.0)  # the rest are ties
    assert groups(np.stack([first, np.ones(1000)], axis=1)) == expected


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    high, low = system(0.85)[0], system(0.75)[0]
    spread, one = bootstrap([[high, low]])[:, 0], bootstrap([[high]])[:, 0]
    mean = (bleu_of_sums(high.sum(axis=0)) + bleu_of_sums(low.sum(axis=0))) / 2
    assert spread.mean() == pytest.approx(mean, abs=1)
    assert spread.std() > 1.5 * one.std()
    equal = bootstrap([[high, high.copy(), high.copy()]])[:, 0]
    np.testing.assert_allclose(equal, one, rtol=1e-12)
