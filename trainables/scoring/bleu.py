"""BLEU from sums over sentences, so that thousands of samples of sentences can be scored at once."""

import numpy as np

from trainables.data.corpora.scoring import Scoring

MAX_ORDER = 4


def sentence_statistics(
    translations: list[str], references: list[str], scoring: Scoring, *more: list[str]
) -> np.ndarray:
    """The terms of corpus BLEU: (sentences, 2 + 4 + 4) = lengths of translation and reference, matches, totals.

    more: Further references.
    """
    bleu = scoring.bleu(sentence=True)
    rows = []
    for translation, *given in zip(translations, references, *more, strict=True):
        result = bleu.sentence_score(translation, given)
        rows.append([result.sys_len, result.ref_len, *result.counts, *result.totals])
    return np.array(rows, dtype=np.float64)


def bleu_of_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus BLEU, 0..100, from summed statistics: (..., 10) -> (...). Smoothed by sacreBLEU's default ("exp")."""
    translation, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + MAX_ORDER], sums[..., 2 + MAX_ORDER :]
    zeros = np.cumsum((matches == 0) & (totals > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matches > 0, matches / totals, 1.0 / (2.0**zeros * totals))
        log_mean = np.where(totals.min(axis=-1) > 0, np.log(precision).mean(axis=-1), -np.inf)
        brevity = np.where(translation < reference, 1.0 - reference / translation, 0.0)
        score = 100.0 * np.exp(log_mean + brevity)
    return np.where((matches.sum(axis=-1) > 0) & (translation > 0), score, 0.0)
