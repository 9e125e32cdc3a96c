"""What a report tells of the corpus: sentences, tokens, lengths, and what evaluation shares with training."""

from dataclasses import dataclass

import numpy as np

from trainables.data.batching import EncodedSplit, encode_split
from trainables.data.corpus import Split
from trainables.data.preparing import Prepared


@dataclass(frozen=True)
class SideFacts:
    """One language of a split; lengths in tokens, the end sign among them."""

    language: str
    tokens: int
    mean: float
    median: float
    longest: int
    histogram: list[int]  # sentences of 0, 1, 2, … tokens


@dataclass(frozen=True)
class SplitFacts:
    """One split. seen_*: its sentences that stand in the training text, too; None for the training split."""

    name: str
    pairs: int
    source: SideFacts
    target: SideFacts
    overlong: int
    seen_sources: int | None
    seen_pairs: int | None


@dataclass(frozen=True)
class CorpusFacts:
    """The splits: training, validation, test."""

    splits: tuple[SplitFacts, SplitFacts, SplitFacts]


def corpus_facts(languages: tuple[str, str], train: Split, test: Split, prepared: Prepared) -> CorpusFacts:
    """prepared: training and validation text in tokens of the best model. To be called after the test split is open."""
    sources, pairs = set(train.source), set(zip(train.source, train.target, strict=True))

    def facts(name: str, text: Split, encoded: EncodedSplit) -> SplitFacts:
        is_train = text is train
        return SplitFacts(
            name,
            len(text),
            _side(languages[0], encoded.source.lengths),
            _side(languages[1], encoded.target.lengths - 1),  # without the start sign
            encoded.overlong,
            None if is_train else sum(sentence in sources for sentence in text.source),
            None if is_train else sum(pair in pairs for pair in zip(text.source, text.target, strict=True)),
        )

    return CorpusFacts(
        (
            facts("training", train, prepared.train),
            facts("validation", prepared.valid_text, prepared.valid),
            facts("test", test, encode_split(test, prepared.tokenizer)),
        )
    )


def _side(language: str, lengths: np.ndarray) -> SideFacts:
    return SideFacts(
        language,
        int(lengths.sum()),
        float(lengths.mean()),
        float(np.median(lengths)),
        int(lengths.max()),
        np.bincount(lengths).tolist(),
    )
