"""Batches of sentence pairs of like lengths, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD
from trainables.base.rounds import Rounds
from trainables.base.translator_config import TranslatorTraining
from trainables.data.encoding.batch_shapes import Cells, Class, Shape, by_length, classify, divide
from trainables.data.encoding.sequences import Encoded, EncodedSplit, parts_of


def group_by_length(
    lengths: np.ndarray, tokens: int | None, sentences: int | None, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Rows in batches of like length: padded to no more than `tokens`, or so many rows; every row once.

    lengths: (n,), or (n, 2) of source and target: rows whose targets are equally long have sources of like length
    beside them, so that both sides carry little padding. A row longer than `tokens` is a batch of its own. With a
    generator, rows of equal length and the batches themselves come in random order; how many batches there are does
    not depend on it.
    """
    if not len(lengths):
        return []
    order = by_length(lengths, rng)
    batches = np.split(order, _cuts(Cells.of(lengths[order]), tokens, sentences))
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _cuts(cells: Cells, tokens: int | None, sentences: int | None) -> list[int]:
    """The rows, sorted by length, at which a new batch begins, but for the first."""
    cuts, row, rows, longest = [], 0, 0, (0,) * cells.lengths.shape[1]
    for lengths, left in zip(cells.lengths.tolist(), cells.counts.tolist(), strict=True):
        while left:
            longer = tuple(map(max, longest, lengths))
            room = left if tokens is None else tokens // sum(longer) - rows
            if sentences is not None:
                room = min(room, sentences - rows)
            taken = min(left, max(room, 0 if rows else 1))  # a row longer than `tokens` is a batch of its own
            if taken == 0:
                cuts.append(row)
                rows, longest = 0, (0,) * len(longest)
                continue
            row, rows, left, longest = row + taken, rows + taken, left - taken, longer
    return cuts


def training_batches(
    text: Encoded, config: TranslatorTraining, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch, without the first `start`, as (source, target) ids.

    Their order is a function of seed and epoch. The parts of a text come one after another in random order, and the
    batches of each are shuffled.

    With `batch_shapes` the order of shapes follows from the epoch alone, and which pairs meet in a batch of a shape
    from the seed, too: so trials with other seeds see other batches, of equal shape at each step. Rows without a pair
    have nothing to predict.
    """
    shaped = config.batch_shapes is not None
    order = np.random.default_rng([epoch] if shaped else [seed, epoch]).permutation(text.num_parts)
    for number, count in ((number, _batches_by_part(text, config)[number]) for number in order.tolist()):
        if start < count:
            entropy = [epoch, number] if text.num_parts > 1 else [epoch]
            batches = (_shaped if shaped else _plain)(text, number, config, seed, entropy)
            for rows, shape in batches[start:]:
                yield _ids(text.part(number), rows, shape)
        start = max(0, start - count)


Batch = tuple[np.ndarray, Shape | None]  # rows of a part, and the shape they are filled up to


def _plain(text: Encoded, number: int, config: TranslatorTraining, seed: int, entropy: list[int]) -> list[Batch]:
    rng = np.random.default_rng([seed, *entropy])
    return [(rows, None) for rows in pair_batches(text.part(number), config, rng)]


def _shaped(text: Encoded, number: int, config: TranslatorTraining, seed: int, entropy: list[int]) -> list[Batch]:
    rng = np.random.default_rng([seed, *entropy])
    order, classes = by_length(text.part(number).lengths), _classes(text, config)[number]
    shares = [np.array_split(rng.permutation(order[each.start : each.end]), max(1, each.batches)) for each in classes]
    turns = np.repeat(np.arange(len(classes)), [each.batches for each in classes])
    np.random.default_rng(entropy).shuffle(turns)
    return [(shares[turn].pop(), classes[turn].shape) for turn in turns]


def _ids(part: EncodedSplit, rows: np.ndarray, shape: Shape | None) -> tuple[Tensor, Tensor]:
    if shape is None:
        return torch.from_numpy(part.source.padded(rows)), torch.from_numpy(part.target.padded(rows))
    source, target = part.source.padded(rows, shape.source), part.target.padded(rows, shape.target + 1)
    return _filled(source, shape.pairs, EOS), _filled(target, shape.pairs, BOS)


def _filled(ids: np.ndarray, rows: int, first: int) -> Tensor:
    """With rows that hold nothing but one special token, so that attention has something to see: (rows, length)."""
    filler = np.full((rows - len(ids), ids.shape[1]), PAD, dtype=ids.dtype)
    filler[:, :1] = first
    return torch.from_numpy(np.concatenate((ids, filler)))


def count_batches(text: Encoded, config: TranslatorTraining) -> int:
    """Optimizer steps of an epoch; the same number for every epoch."""
    return sum(_batches_by_part(text, config))


def rounds_of(text: Encoded, config: TranslatorTraining) -> Rounds:
    """The rounds of a training on the text."""
    return Rounds(config, count_batches(text, config), text.target_tokens)


def _batches_by_part(text: Encoded, config: TranslatorTraining) -> tuple[int, ...]:
    return _counted(text, config.batch_tokens, config.batch_sentences, config.batch_shapes)


@lru_cache(maxsize=8)
def _counted(text: Encoded, tokens: int | None, sentences: int | None, shapes: int | None) -> tuple[int, ...]:
    if shapes is not None:
        return tuple(sum(each.batches for each in part) for part in _classified(text, tokens, sentences, shapes))
    return tuple(len(_cuts(cells, tokens, sentences)) + 1 if len(cells) else 0 for cells in _cells(text))


def _classes(text: Encoded, config: TranslatorTraining) -> list[list[Class]]:
    """What `batch_shapes` cuts the sorted rows of each part into."""
    assert config.batch_shapes
    return _classified(text, config.batch_tokens, config.batch_sentences, config.batch_shapes)


@lru_cache(maxsize=8)
def _classified(text: Encoded, tokens: int | None, sentences: int | None, shapes: int) -> list[list[Class]]:
    parts = list(_cells(text))
    whole = Cells.merged(parts)
    return divide(classify(whole, tokens, sentences, shapes), whole, parts)


def _cells(text: Encoded) -> Iterator[Cells]:
    """How many pairs of each length every part has."""
    return (Cells.of(part.lengths[by_length(part.lengths)]) for part in parts_of(text))


def batch_sizes(text: Encoded, config: TranslatorTraining) -> list[tuple[int, int, int]]:
    """All that batches have under `batch_shapes`: rows, and columns of source and target ids."""
    shapes = {each.shape for part in _classes(text, config) for each in part}
    return sorted((shape.pairs, shape.source, shape.target + 1) for shape in shapes)


def pair_batches(
    part: EncodedSplit, config: TranslatorTraining, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """The rows of each training batch of a part; see group_by_length."""
    return group_by_length(part.lengths, config.batch_tokens, config.batch_sentences, rng)


def evaluation_batches(split: EncodedSplit, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All pairs once, like lengths together."""
    for rows in group_by_length(split.lengths, tokens, None):
        yield _ids(split, rows, None)
