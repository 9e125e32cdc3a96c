"""The parts of sacreBLEU that are not public: the statistics of each sentence, from which it computes corpus scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


def sentence_terms(metric: "Metric", translations: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """The statistics of each sentence, whose sums give the corpus score: (sentences, k).

    references: One or more translations by people of the whole text.
    """
    return np.array(metric._extract_corpus_statistics(translations, references), dtype=np.float64)


def score_of_terms(metric: "Metric", terms: np.ndarray) -> float:
    """The corpus score, to the last digit that of `corpus_score`."""
    return float(metric._aggregate_and_compute(terms.tolist()).score)
