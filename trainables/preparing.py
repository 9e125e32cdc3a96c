"""From configuration to text in ids, once for all trials of a process that share it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trainables.batching import EncodedSplit, encode_split
from trainables.config import DataConfig, TokenizerConfig
from trainables.corpus import Corpus, Split, read_corpus
from trainables.errors import UserError
from trainables.tokenizer import Tokenizer, train_tokenizer


@dataclass(frozen=True)
class Prepared:
    """A corpus ready to train on. Trials with equal data and tokenizer settings share it."""

    tokenizer: Tokenizer
    train: EncodedSplit
    valid: EncodedSplit
    valid_text: Split


@lru_cache(maxsize=1)
def cached_corpus(data: DataConfig) -> Corpus:
    return read_corpus(data)


@lru_cache(maxsize=4)  # a few vocabulary sizes; a worker keeps them for the next trial
def prepare(data: DataConfig, tokenizer: TokenizerConfig, cache: Path) -> Prepared:
    """Read, tokenize and encode. Raises UserError for what is wrong with the corpus."""
    corpus = cached_corpus(data)
    pieces = train_tokenizer(tokenizer, corpus, cache)
    train = encode_split(corpus.train, pieces, data)
    if not len(train):
        raise UserError(f"data.max_tokens: no training pair is as short as {data.max_tokens} tokens; raise it")
    return Prepared(pieces, train, encode_split(corpus.valid, pieces), corpus.valid)
