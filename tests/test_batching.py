"""Every pair once, within the budget, in an order that follows from seed and epoch."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from corpora import write_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from model.special_tokens import BOS, EOS, PAD
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TokenizerConfig, TranslationTraining
from trainables.data.corpora.corpus import Corpus, read_corpus
from trainables.data.encoding.batching import (
    count_batches,
    evaluation_batches,
    group_by_length,
    training_batches,
)
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.sequences import EncodedSplit, Sequences
from trainables.data.encoding.tokenizer import Tokenizer, train_tokenizer

SIZES = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=40)
TOKENS = st.integers(1, 150)
steady = settings(derandomize=True, deadline=None)


def make_split(sizes: list[tuple[int, int]]) -> EncodedSplit:
    """Pairs of so many ids without specials; the ids of pair i are 10 + i."""
    source = [np.array([10 + i] * length + [EOS], dtype=np.int32) for i, (length, _) in enumerate(sizes)]
    target = [np.array([BOS] + [10 + i] * length + [EOS], dtype=np.int32) for i, (_, length) in enumerate(sizes)]
    return EncodedSplit(Sequences.pack(source), Sequences.pack(target))


def rows_of(batches: list[tuple[torch.Tensor, torch.Tensor]], split: EncodedSplit) -> list[list[int]]:
    """The pair numbers in each batch; checks that all their ids are there, and nothing but padding after them."""
    numbers = []
    for source, target in batches:
        assert source.dtype == target.dtype == torch.int64
        numbers.append((source[:, 0] - 10).tolist())
        for padded, sequences in ((source, split.source), (target, split.target)):
            lengths = sequences.lengths[numbers[-1]]
            assert padded.shape == (len(numbers[-1]), max(lengths))
            for row, number, length in zip(padded.tolist(), numbers[-1], lengths, strict=True):
                start = sequences.offsets[number]
                assert row[:length] == sequences.ids[start : start + length].tolist()
                assert set(row[length:]) <= {PAD}
    return numbers


@steady
@given(SIZES, TOKENS, st.integers(0, 3), st.integers(1, 4))
def test_an_epoch_has_each_pair_once_within_the_budget(
    sizes: list[tuple[int, int]], tokens: int, seed: int, epoch: int
) -> None:
    split, config = make_split(sizes), TranslationTraining(batch_tokens=tokens)
    batches = rows_of(list(training_batches(split, config, seed, epoch)), split)
    assert sorted(number for batch in batches for number in batch) == list(range(len(sizes)))
    lengths = np.array(sizes) + 1  # an EOS on each side; BOS does not count
    assert all(len(batch) * lengths[batch].max(axis=0).sum() <= tokens or len(batch) == 1 for batch in batches)
    assert len(batches) == count_batches(split, config) == len(group_by_length(lengths, tokens, None))
    assert split.target_tokens == sum(target + 1 for _, target in sizes)


@steady
@given(SIZES, st.integers(1, 50), st.integers(0, 3))
def test_batches_by_sentences(sizes: list[tuple[int, int]], sentences: int, seed: int) -> None:
    split, config = make_split(sizes), TranslationTraining(batch_tokens=None, batch_sentences=sentences)
    batches = rows_of(list(training_batches(split, config, seed, 1)), split)
    assert sorted(number for batch in batches for number in batch) == list(range(len(sizes)))
    full, rest = divmod(len(sizes), sentences)
    assert sorted(map(len, batches), reverse=True) == [sentences] * full + [rest] * bool(rest)
    assert len(batches) == count_batches(split, config)


@steady
@given(st.lists(st.integers(1, 40), max_size=60), TOKENS)
def test_batches_are_of_like_lengths_and_as_full_as_can_be(lengths: list[int], tokens: int) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    batches = group_by_length(sizes, tokens, None)
    assert sizes[np.concatenate(batches)].tolist() == sorted(lengths) if lengths else batches == []
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * sizes[following[0]] > tokens


def test_batches_of_pairs_carry_little_padding_on_either_side() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(15, 5, 10_000).clip(2, 50)
    sides = np.stack((source, source * 1.2 + rng.normal(0, 3, 10_000)), axis=1).clip(2).astype(int)
    batches = group_by_length(sides, 1000, None)
    padded = sum(len(batch) * sides[batch].max(axis=0).sum() for batch in batches)
    assert sides.sum() > 0.95 * padded  # sorted by their sum: 0.87
    order = [tuple(pair) for pair in sides[np.concatenate(batches)].tolist()]
    assert order == sorted(order, key=lambda pair: (pair[1], pair[0] * (-1) ** pair[1])), "sources up and down in turn"


@steady
@given(SIZES, TOKENS)
def test_evaluation_has_each_pair_once(sizes: list[tuple[int, int]], tokens: int) -> None:
    split = make_split(sizes)
    batches = rows_of(list(evaluation_batches(split, tokens)), split)
    assert sorted(number for batch in batches for number in batch) == list(range(len(sizes)))


def test_the_order_follows_from_seed_and_epoch() -> None:
    split, config = make_split([(i % 7 + 1, i % 5 + 1) for i in range(200)]), TranslationTraining(batch_tokens=60)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return rows_of(list(training_batches(split, config, seed, epoch)), split)

    assert order(1, 1) == order(1, 1)
    orders = [order(1, 1), order(1, 2), order(2, 1), order(2, 2)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert {len(batches) for batches in orders} == {count_batches(split, config)}
    # Not the order alone: which pairs meet in a batch changes, too.
    assert {frozenset(batch) for batch in orders[0]} != {frozenset(batch) for batch in orders[1]}
    longest = [[max(row % 5 for row in rows) for rows in batches] for batches in orders]  # of targets
    assert all(lengths != sorted(lengths) for lengths in longest), "short and long batches are mixed"
    assert all(a != b for i, a in enumerate(longest) for b in longest[:i]), "in an order of each epoch's own"


@steady
@given(st.lists(st.lists(st.integers(4, 99), min_size=1), max_size=12))
def test_sequences_are_packed_and_padded(ids: list[list[int]]) -> None:
    sequences = Sequences.pack([np.array(row, dtype=np.int32) for row in ids])
    assert len(sequences) == len(ids)
    assert sequences.lengths.tolist() == [len(row) for row in ids]
    if ids:
        rows = np.arange(len(ids))[::-1]
        longest = max(map(len, ids))
        assert sequences.padded(rows).tolist() == [row + [PAD] * (longest - len(row)) for row in reversed(ids)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def corpus(digits: Path) -> Corpus:
    return read_corpus(DataConfig(path=str(digits)))


@pytest.fixture(scope="module")
def tokenizer(corpus: Corpus, digits: Path) -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=60), corpus, digits)


def unpack(sequences: Sequences) -> list[list[int]]:
    return [[id for id in row if id != PAD] for row in sequences.padded(np.arange(len(sequences))).tolist()]


def encoded(folder: Path, **limit: object) -> EncodedSplit:
    data = DataConfig.model_validate({"path": str(folder), **limit})
    return prepare(data, TokenizerConfig(vocab_size=60), folder).train.part(0)


def test_overlong_training_pairs_are_dropped_and_counted(digits: Path, corpus: Corpus, tokenizer: Tokenizer) -> None:
    split = encoded(digits, max_tokens=9, overlong="drop")
    source, target = (
        tokenizer.encode_source(list(corpus.train.source)),
        tokenizer.encode_target(list(corpus.train.target)),
    )
    # A side may have 9 tokens with its EOS; BOS is not counted.
    kept = [i for i in range(len(source)) if len(source[i]) <= 9 and len(target[i]) - 1 <= 9]
    assert 0 < len(kept) < 300 and {9} == {max(len(source[i]) for i in kept), max(len(target[i]) - 1 for i in kept)}
    assert unpack(split.source) == [source[i].tolist() for i in kept]
    assert unpack(split.target) == [target[i].tolist() for i in kept]
    assert (len(split), split.overlong) == (len(kept), 300 - len(kept))


def test_overlong_training_sides_are_cut_and_keep_their_end(digits: Path, corpus: Corpus, tokenizer: Tokenizer) -> None:
    split = encoded(digits, max_tokens=9, overlong="truncate")
    source, target = (
        tokenizer.encode_source(list(corpus.train.source)),
        tokenizer.encode_target(list(corpus.train.target)),
    )
    for ids, whole in zip(unpack(split.source), source, strict=True):
        assert ids == (whole.tolist() if len(whole) <= 9 else [*whole[:8].tolist(), EOS])
    for ids, whole in zip(unpack(split.target), target, strict=True):
        assert ids == (whole.tolist() if len(whole) <= 10 else [*whole[:9].tolist(), EOS])
    assert split.overlong == sum(len(s) > 9 or len(t) > 10 for s, t in zip(source, target, strict=True)) > 0


@pytest.mark.parametrize("overlong", ["drop", "truncate"])
def test_validation_pairs_are_never_dropped_or_cut(
    overlong: str, digits: Path, corpus: Corpus, tokenizer: Tokenizer
) -> None:
    data = DataConfig.model_validate({"path": str(digits), "max_tokens": 6, "overlong": overlong})
    prepared = prepare(data, TokenizerConfig(vocab_size=60), digits)
    assert prepared.train.overlong > 0 and prepared.valid.overlong == 0
    assert prepared.valid_text == corpus.valid
    assert unpack(prepared.valid.source) == [ids.tolist() for ids in tokenizer.encode_source(corpus.valid.source)]
    assert unpack(prepared.valid.target) == [ids.tolist() for ids in tokenizer.encode_target(corpus.valid.target)]


def test_when_no_training_pair_is_short_enough_it_is_told(digits: Path) -> None:
    data = DataConfig(path=str(digits), max_tokens=4)
    with pytest.raises(UserError, match=r"data\.max_tokens: no training pair is as short as 4 tokens; raise it"):
        prepare(data, TokenizerConfig(vocab_size=30), digits)


def test_among_equal_targets_sources_go_up_and_down_in_turn() -> None:
    """So that the last source of one target length is about as long as the first of the next."""
    lengths = np.array([[source, target] for target in (2, 3, 4, 5) for source in (7, 1, 4)])
    (rows,) = group_by_length(lengths, None, None)
    assert lengths[rows].tolist() == [
        *([source, 2] for source in (1, 4, 7)),
        *([source, 3] for source in (7, 4, 1)),
        *([source, 4] for source in (1, 4, 7)),
        *([source, 5] for source in (7, 4, 1)),
    ]
