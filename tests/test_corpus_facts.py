"""What the report tells of the corpus, against values counted by hand."""

from dataclasses import replace
from typing import cast

import numpy as np
from as_plotly import as_plotly

from model.special_tokens import BOS, EOS
from search.translation.corpus_facts import SideFacts, SplitFacts, corpus_facts
from search.translation.length_figure import length_figure
from trainables.data.corpora.scoring import Scoring
from trainables.data.encoding.encoding import encode_split
from trainables.data.encoding.preparing import Prepared
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.data.reading.text import Split


class Words:
    """A tokenizer whose tokens are words, with the signs of the start and the end where sentencepiece has them."""

    def encode_source(self, texts: list[str]) -> list[np.ndarray]:
        return [np.array([*([7] * len(text.split())), EOS], dtype=np.int32) for text in texts]

    def encode_target(self, texts: list[str]) -> list[np.ndarray]:
        return [np.array([BOS, *ids], dtype=np.int32) for ids in self.encode_source(texts)]


TRAIN = Split(
    ["a", "a b", "a b c", "a b c d", "a b c d e f g"],  # the last is above 6 tokens
    ["v", "v w", "v w", "v w x y", "v"],
)
SHORT = Split(TRAIN.source[:-1], TRAIN.target[:-1])
VALID = Split(["a", "a b", "z"], ["v", "other", "v"])  # two sources and one pair of training
TEST = Split(["a b c", "a b c", "a", "z z"], ["v w", "v w", "w", "v w x y z"])  # three sources, the same pair twice


def test_sentences_tokens_and_lengths_are_those_counted_by_hand() -> None:
    """Lengths have the end sign, which is predicted, and not the start sign, which is given."""
    words = cast(Tokenizer, Words())
    encoded = replace(encode_split(SHORT, words), overlong=1)
    prepared = Prepared(encoded, encode_split(VALID, words), VALID, Scoring("13a"), words, 128)
    facts = corpus_facts(("en", "fr"), TRAIN, TEST, prepared, encode_split(TEST, words))
    train, valid, test = facts.splits
    assert train == SplitFacts(
        "training",
        5,
        SideFacts("en", 2 + 3 + 4 + 5, 3.5, 3.5, 5, [0, 0, 1, 1, 1, 1]),  # of the four pairs that are trained on
        SideFacts("fr", 2 + 3 + 3 + 5, 3.25, 3, 5, [0, 0, 1, 2, 0, 1]),
        overlong=1,
        seen_sources=None,
        seen_pairs=None,
    )
    assert valid == SplitFacts(
        "validation",
        3,
        SideFacts("en", 2 + 3 + 2, 7 / 3, 2, 3, [0, 0, 2, 1]),
        SideFacts("fr", 2 + 2 + 2, 2, 2, 2, [0, 0, 3]),
        overlong=0,
        seen_sources=2,
        seen_pairs=1,
    )
    assert test == SplitFacts(
        "test",
        4,
        SideFacts("en", 4 + 4 + 2 + 3, 3.25, 3.5, 4, [0, 0, 1, 1, 2]),
        SideFacts("fr", 3 + 3 + 2 + 6, 3.5, 3, 6, [0, 0, 1, 2, 0, 0, 1]),
        overlong=0,
        seen_sources=3,
        seen_pairs=2,
    )

    figure = length_figure(facts)
    drawn = {line.name: dict(zip(line.x, line.y, strict=True)) for line in as_plotly(figure).data}
    assert drawn == {
        "en": {0: 0, 1: 0, 2: 1, 3: 1, 4: 1, 5: 1},
        "fr": {0: 0, 1: 0, 2: 1, 3: 2, 4: 0, 5: 1},
    }
    assert figure.alternative == "en: median 3.5 tokens, longest 5; fr: median 3 tokens, longest 5"
