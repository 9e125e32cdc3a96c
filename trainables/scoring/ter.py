"""TER from sums over sentences, so that thousands of samples of sentences can be scored at once."""

import numpy as np

from trainables.data.corpora.scoring import Scoring
from trainables.scoring.sacrebleu_internals import sentence_terms


def sentence_statistics(
    translations: list[str], references: list[str], scoring: Scoring, *more: list[str]
) -> np.ndarray:
    """The terms of corpus TER: (sentences, 2) = fewest edits, mean length of references. more: of them."""
    words = [[scoring.words(text) for text in side] for side in (translations, references, *more)]
    return sentence_terms(scoring.ter(), words[0], words[1:])


def ter_of_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus TER, in percent, from summed edits and lengths of references: (..., 2) -> (...). It may be above 100."""
    edits, length = sums[..., 0], sums[..., 1]
    empty = np.where(edits > 0, 1.0, 0.0)  # no reference has a word
    return 100.0 * np.divide(edits, length, out=empty, where=length > 0)
