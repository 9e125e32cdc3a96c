"""Facts about the corpus for the report: sentences, tokens, lengths, and overlap with the training text."""

from dataclasses import dataclass

import numpy as np

from trainables.data.encoding.batch_shapes import Cells, by_length
from trainables.data.encoding.preparing import PreparedText
from trainables.data.encoding.sequences import Encoded, parts_of
from trainables.data.reading.text import Split, Text


@dataclass(frozen=True)
class SideFacts:
    """One language of a split. Lengths are in tokens, with the end sign."""

    language: str
    tokens: int
    mean: float
    median: float
    longest: int
    histogram: list[int]  # sentences of 0, 1, 2, … tokens


@dataclass(frozen=True)
class SplitFacts:
    """One split. seen_*: the number of sentences that are also in the training text; None for the training split."""

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


def corpus_facts(
    languages: tuple[str, str], train: Text, test: Split, prepared: PreparedText, test_ids: Encoded
) -> CorpusFacts:
    """Facts about the corpus, once the test split is open.

    prepared: the other splits in the best model's tokens; test_ids: the test split in them.
    """
    evaluated = (prepared.valid_text, test)
    sources = {sentence for text in evaluated for sentence in text.source}.intersection(train.source)
    pairs = {pair for text in evaluated for pair in zip(*text.sides, strict=True)}.intersection(
        zip(*train.sides, strict=True)
    )

    def facts(name: str, text: Text, encoded: Encoded) -> SplitFacts:
        is_train = text is train
        return SplitFacts(
            name,
            len(text),
            *_sides(languages, encoded),
            encoded.overlong,
            None if is_train else sum(sentence in sources for sentence in text.source),
            None if is_train else sum(pair in pairs for pair in zip(text.source, text.target, strict=True)),
        )

    return CorpusFacts(
        (
            facts("training", train, prepared.train),
            facts("validation", prepared.valid_text, prepared.valid),
            facts("test", test, test_ids),
        )
    )


def _sides(languages: tuple[str, str], encoded: Encoded) -> tuple[SideFacts, SideFacts]:
    """By how many sentences of each length there are, which are added up over the parts."""
    cells = Cells.merged([Cells.of(part.lengths[by_length(part.lengths)]) for part in parts_of(encoded)])
    source, target = (
        _side(language, np.bincount(lengths, cells.counts).astype(int))
        for language, lengths in zip(languages, cells.lengths.T, strict=True)
    )
    return source, target


def _side(language: str, histogram: np.ndarray) -> SideFacts:
    lengths, sentences = np.arange(len(histogram)), histogram.sum()
    tokens = int((lengths * histogram).sum())
    # The mean of the two in the middle, or that one twice.
    middle = np.searchsorted(np.cumsum(histogram), [(sentences - 1) // 2, sentences // 2], side="right")
    return SideFacts(
        language, tokens, tokens / int(sentences), float(middle.mean()), len(histogram) - 1, histogram.tolist()
    )
