"""BLEU from sentence statistics is the BLEU of sacreBLEU."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.corpora.scoring import Scoring
from trainables.scoring.bleu import bleu_of_sums, sentence_statistics

TEXT = st.lists(st.sampled_from(["a", "b", "c", "d", "Haus", "l'été", ",", "1.5"]), max_size=9).map(" ".join)
REFERENCE = TEXT.filter(bool)


def bleu(translations: list[str], references: list[str]) -> float:
    return float(bleu_of_sums(sentence_statistics(translations, references, Scoring("13a")).sum(axis=0)))


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
        (["p q c s t"], ["a b c d e"], None),  # one
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
    translations, references = ["a b c d", "a b x d e", "e f g h i"], ["a b c d", "a b c d e", "e f g i h"]
    statistics = sentence_statistics(translations, references, Scoring("13a"))
    assert statistics.shape == (3, 10)
    samples = np.array([[1, 1, 1], [2, 1, 0], [0, 0, 3]])
    chosen = ([0, 1, 2], [0, 0, 1], [2, 2, 2])
    expected = [float(bleu_of_sums(statistics[rows].sum(axis=0))) for rows in chosen]
    assert bleu_of_sums(samples @ statistics).tolist() == pytest.approx(expected)
