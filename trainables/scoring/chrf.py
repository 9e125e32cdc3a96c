"""chrF++ from sums over sentences, so that thousands of samples of sentences can be scored at once."""

import numpy as np

from trainables.data.corpora.scoring import Scoring
from trainables.scoring.sacrebleu_internals import sentence_terms

BETA = 2  # recall counts so many times as much as precision


def sentence_statistics(
    translations: list[str], references: list[str], scoring: Scoring, *more: list[str]
) -> np.ndarray:
    """The terms of corpus chrF++: (sentences, 3 * 8), with the reference that is best for each. more: of them."""
    return sentence_terms(scoring.chrf(), translations, [references, *more])


def chrf_of_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus chrF++, 0..100, from summed statistics: (..., 3 * 8) -> (...).

    For each order of n-grams, six of characters and two of words, the statistics are the numbers of n-grams in the
    translation, in the reference, and in both (Popović 2017). Orders that one side lacks do not count, as in sacreBLEU.
    """
    orders = sums.reshape(*sums.shape[:-1], -1, 3)
    translation, reference, both = orders[..., 0], orders[..., 1], orders[..., 2]
    counted = (translation > 0) & (reference > 0)
    number = np.maximum(counted.sum(axis=-1), 1)
    precision = np.divide(both, translation, out=np.zeros_like(both), where=counted).sum(axis=-1) / number
    recall = np.divide(both, reference, out=np.zeros_like(both), where=counted).sum(axis=-1) / number
    below = BETA**2 * precision + recall
    score = np.divide((1 + BETA**2) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return 100.0 * score
