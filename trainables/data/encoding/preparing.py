"""From configuration to text in ids, once for all trials of a process that share it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor

from model.special_tokens import BOS, UNK
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TokenizerConfig
from trainables.base.translator_config import TranslatorTraining
from trainables.base.wording import count
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.scoring import Scoring, scoring
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.bpe_dropout import BpeDropout, VariedPieces
from trainables.data.encoding.encoding import encode_split, encode_text
from trainables.data.encoding.sequences import Encoded, EncodedSplit, parts_of
from trainables.data.encoding.tokenizer import Tokenizer, tokenizer_folder, train_tokenizer
from trainables.data.reading.text import Split, stored

IdBatch = tuple[Tensor, Tensor]  # source (B, S) and target (B, T)
SAMPLE_SEED = 1  # of the validation pairs that reports are scored on


@dataclass(frozen=True)
class PreparedText:
    """A corpus ready to train on."""

    train: Encoded
    valid: EncodedSplit
    valid_text: Split
    scoring: Scoring  # of translations into its target language

    def valid_sample(self, most: int | None) -> tuple[EncodedSplit, Split]:
        """At most so many validation pairs, always the same ones, in ids and as text; None: all."""
        if most is None or len(self.valid) <= most:
            return self.valid, self.valid_text
        rows = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(len(self.valid))[:most])
        source, target = ([side[row] for row in rows] for side in self.valid_text.sides)
        return EncodedSplit(self.valid.source.chosen(rows), self.valid.target.chosen(rows)), Split(source, target)

    def batches(self, settings: TranslatorTraining, seed: int, epoch: int, start: int) -> Iterator[IdBatch]:
        """The batches of an epoch without the first `start`; see `training_batches`."""
        return training_batches(self.train, settings, seed, epoch, start)


@dataclass(frozen=True)
class Prepared(PreparedText):
    """A corpus in the ids of a tokenizer of ours. Trials with equal data and tokenizer settings share it."""

    tokenizer: Tokenizer
    longest: int  # pieces of a training sentence

    def batches(self, settings: TranslatorTraining, seed: int, epoch: int, start: int) -> Iterator[IdBatch]:
        """As `PreparedText.batches`; with BPE-dropout, sentences have other pieces in each epoch."""
        batches, probability = super().batches(settings, seed, epoch, start), settings.bpe_dropout
        if not probability:
            yield from batches
            return
        source, target = (BpeDropout(side, probability) for side in (self.tokenizer.source, self.tokenizer.target))
        varied = VariedPieces(source, target, self.longest)
        for number, batch in enumerate(batches, start):
            yield varied(batch, f"{seed} {epoch} {number}")

    @cached_property
    def untrained_nll_per_char(self) -> float:
        """The loss of the validation references, in nats, by the frequency of each piece in the training text alone."""
        asked = self.valid.target.ids[self.valid.target.ids != BOS]
        counts = np.ones(self.tokenizer.target_vocab, np.int64)
        for part in parts_of(self.train):
            counts += part.target.counts(self.tokenizer.target_vocab)
        counts[BOS] = 1
        return float(-np.log(counts / counts.sum())[asked].sum() / sum(map(len, self.valid_text.target)))


@lru_cache(maxsize=4)  # a few vocabulary sizes; a worker keeps them for the next trial
def prepare(data: DataConfig, tokenizer: TokenizerConfig, cache: Path) -> Prepared:
    """Read, tokenize and encode. Raises UserError for what is wrong with the corpus."""
    corpus = cached_corpus(data, cache)
    pieces = train_tokenizer(tokenizer, corpus, cache)
    train = encode_text(stored(corpus.train), tokenizer_folder(tokenizer, corpus, cache), data, cache)
    if not len(train):
        raise UserError(
            f"data.max_tokens: no training pair is as short as {count(data.max_tokens, 'token', 'tokens')}; raise it"
        )
    return Prepared(train, encode_split(corpus.valid, pieces), corpus.valid, scoring(data), pieces, data.max_tokens)


def count_unknown(tokenizer: Tokenizer, sources: list[str], name: str) -> list[str]:
    """Whether the model is blind to some of what it is to translate."""
    lacking = [source for source, ids in zip(sources, tokenizer.encode_source(sources), strict=True) if UNK in ids]
    if not lacking:
        return []
    ids, pieces = tokenizer.source.encode(lacking), tokenizer.source.encode(lacking, out_type=str)
    counts = Counter(
        character
        for sentence in zip(ids, pieces, strict=True)
        for piece, text in zip(*sentence, strict=True)
        if piece == UNK
        for character in text
    )
    shown = ", ".join(f"{character} (U+{ord(character):04X})" for character, _ in counts.most_common(3))
    return [
        f"{len(lacking):,} of {len(sources):,} source sentences of {name} "
        f"{'has' if len(lacking) == 1 else 'have'} characters that the tokenizer has not learned: {shown}; "
        "the model can't tell them apart"
    ]
