"""Sentence pairs as flat arrays of ids, and batches of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD
from trainables.base.translation_config import DataConfig, TranslationTraining
from trainables.data.batch_shapes import Class, classify
from trainables.data.corpus import Split
from trainables.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sequences:
    """Many id sequences in one array: sequence i is ids[offsets[i] : offsets[i + 1]]."""

    ids: np.ndarray  # (total,) int32
    offsets: np.ndarray  # (n + 1,) int64

    @classmethod
    def pack(cls, sequences: list[np.ndarray]) -> "Sequences":
        """From an array of ids for each sequence."""
        offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in sequences], out=offsets[1:])
        return cls(np.concatenate(sequences) if sequences else np.zeros(0, dtype=np.int32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """How many ids each sequence has: (N,) int64."""
        return np.diff(self.offsets)

    def chosen(self, rows: np.ndarray) -> "Sequences":
        """The sequences at these places, in this order."""
        return Sequences.pack([self.ids[self.offsets[row] : self.offsets[row + 1]] for row in rows])

    def padded(self, rows: np.ndarray, length: int | None = None) -> Tensor:
        """The given sequences, padded on the right: (len(rows), length) int64; by itself as long as the longest."""
        lengths = self.lengths[rows]
        columns = np.arange(length or int(lengths.max()))
        inside = columns < lengths[:, None]
        out = np.full(inside.shape, PAD, dtype=np.int64)
        out[inside] = self.ids[(self.offsets[rows][:, None] + columns)[inside]]
        return torch.from_numpy(out)


@dataclass(frozen=True)
class EncodedSplit:
    """A split in ids; `overlong` pairs had a side above the limit and were dropped or truncated."""

    source: Sequences
    target: Sequences
    overlong: int = 0

    def __len__(self) -> int:
        return len(self.source)

    @property
    def target_tokens(self) -> int:
        """Tokens that are predicted in one pass: all but BOS."""
        return len(self.target.ids) - len(self.target)


def encode_split(split: Split, tokenizer: Tokenizer, limit: DataConfig | None = None) -> EncodedSplit:
    """Ids of a split.

    Pairs above limit.max_tokens on a side (EOS counted, BOS not) are dropped or cut there as limit.overlong says; cut
    sides keep their EOS. Without a limit nothing is touched.
    """
    source, target = tokenizer.encode_source(split.source), tokenizer.encode_target(split.target)
    if limit is None:
        return EncodedSplit(Sequences.pack(source), Sequences.pack(target))
    longest = limit.max_tokens
    fits = [len(s) <= longest and len(t) - 1 <= longest for s, t in zip(source, target, strict=True)]
    if limit.overlong == "drop":
        source = [ids for ids, ok in zip(source, fits, strict=True) if ok]
        target = [ids for ids, ok in zip(target, fits, strict=True) if ok]
    else:
        source = [_cut(ids, longest) for ids in source]
        target = [_cut(ids, longest + 1) for ids in target]
    return EncodedSplit(Sequences.pack(source), Sequences.pack(target), overlong=fits.count(False))


def _cut(ids: np.ndarray, length: int) -> np.ndarray:
    return ids if len(ids) <= length else np.append(ids[: length - 1], ids[-1])


def group_by_length(
    lengths: np.ndarray, tokens: int | None, sentences: int | None, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Rows in batches of like length: padded to no more than `tokens`, or so many rows; every row once.

    lengths: (n,), or (n, 2) of source and target: rows whose targets are equally long have sources of like length
    beside them, so that both sides carry little padding. A row longer than `tokens` is a batch of its own. With a
    generator, rows of equal length and the batches themselves come in random order; how many batches there are does
    not depend on it.
    """
    sides = np.atleast_2d(lengths.T).T
    order = np.arange(len(sides)) if rng is None else rng.permutation(len(sides))
    order = order[_by_length(sides[order])]
    batches, start, longest = [], 0, (0,) * sides.shape[1]
    for end, row in enumerate(sides[order].tolist()):
        longer = tuple(map(max, longest, row))
        full = tokens is not None and (end + 1 - start) * sum(longer) > tokens
        if end > start and (full or end - start == sentences):
            batches.append(order[start:end])
            start, longer = end, tuple(row)
        longest = longer
    if start < len(order):
        batches.append(order[start:])
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _by_length(sides: np.ndarray) -> np.ndarray:
    """The order of rows by their last length, ties by the one before it, up and down in turn; stable."""
    *others, last = sides.T
    turn = np.where(last % 2, -1, 1)
    return np.lexsort([other * turn for other in others] + [last])


def training_batches(
    split: EncodedSplit, config: TranslationTraining, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch, without the first `start`, as (source, target) ids.

    Their order is a function of seed and epoch.

    With `batch_shapes` the order of shapes follows from the epoch alone, and which pairs meet in a batch of a shape
    from the seed, too: so trials with other seeds see other batches, of equal shape at each step. Rows without a pair
    have nothing to predict.
    """
    rng = np.random.default_rng([seed, epoch])
    if config.batch_shapes is None:
        for rows in pair_batches(split, config, rng)[start:]:
            yield split.source.padded(rows), split.target.padded(rows)
        return
    order, classes = _classes(split, config)
    shares = [np.array_split(rng.permutation(order[each.start : each.end]), each.batches) for each in classes]
    turns = np.repeat(np.arange(len(classes)), [each.batches for each in classes])
    np.random.default_rng(epoch).shuffle(turns)
    for turn, place in enumerate(turns):
        rows, shape = shares[place].pop(), classes[place].shape
        if turn >= start:
            source, target = split.source.padded(rows, shape.source), split.target.padded(rows, shape.target + 1)
            yield _filled(source, shape.pairs, EOS), _filled(target, shape.pairs, BOS)


def _classes(split: EncodedSplit, config: TranslationTraining) -> tuple[np.ndarray, list[Class]]:
    """All rows, sorted, and what `batch_shapes` cuts them into."""
    lengths = _pair_lengths(split)
    order = _by_length(lengths)
    assert config.batch_shapes
    return order, classify(lengths[order], config.batch_tokens, config.batch_sentences, config.batch_shapes)


def _filled(ids: Tensor, rows: int, first: int) -> Tensor:
    """With rows that hold nothing but one special token, so that attention has something to see: (rows, length)."""
    filler = ids.new_full((rows - len(ids), ids.shape[1]), PAD)
    filler[:, :1] = first
    return torch.cat((ids, filler))


def count_batches(split: EncodedSplit, config: TranslationTraining) -> int:
    """Optimizer steps an epoch; the same for every epoch."""
    if config.batch_shapes is None:
        return len(pair_batches(split, config))
    return sum(each.batches for each in _classes(split, config)[1])


def batch_sizes(split: EncodedSplit, config: TranslationTraining) -> list[tuple[int, int, int]]:
    """All that batches have under `batch_shapes`: rows, and columns of source and target ids."""
    shapes = {each.shape for each in _classes(split, config)[1]}
    return sorted((shape.pairs, shape.source, shape.target + 1) for shape in shapes)


def pair_batches(
    split: EncodedSplit, config: TranslationTraining, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """The rows of each training batch; see group_by_length."""
    return group_by_length(_pair_lengths(split), config.batch_tokens, config.batch_sentences, rng)


def evaluation_batches(split: EncodedSplit, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All pairs once, like lengths together."""
    for rows in group_by_length(_pair_lengths(split), tokens, None):
        yield split.source.padded(rows), split.target.padded(rows)


def _pair_lengths(split: EncodedSplit) -> np.ndarray:
    """(pairs, 2): tokens that are read and tokens that are predicted."""
    return np.stack((split.source.lengths, split.target.lengths - 1), axis=1)
