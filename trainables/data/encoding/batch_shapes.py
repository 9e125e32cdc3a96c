"""A few shapes that all batches of a text share: steps can be captured for each, and trials stay in step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

STRETCHES = 256  # of like pairs, that are kept together: what it takes grows with the square


class Shape(NamedTuple):
    """The shape of a batch, padding included."""

    pairs: int
    source: int  # tokens
    target: int  # tokens that are predicted


class Class(NamedTuple):
    """Pairs of like lengths, rows `start` to `end` of a sorted text, and the one shape of their batches."""

    start: int
    end: int
    batches: int
    shape: Shape


@dataclass(frozen=True)
class Cells:
    """Sorted pairs, those of equal lengths together."""

    lengths: np.ndarray  # (cells, sides)
    counts: np.ndarray  # (cells,): pairs of these lengths

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, lengths: np.ndarray) -> "Cells":
        """From the lengths of sorted pairs, (pairs,) or (pairs, sides): neighbours that are equal are one cell."""
        sides = np.atleast_2d(lengths.T).T
        starts = np.flatnonzero(np.diff(sides, axis=0, prepend=-1).any(axis=1))
        return cls(sides[starts], np.diff(starts, append=len(sides)))

    @classmethod
    def merged(cls, parts: Sequence["Cells"]) -> "Cells":
        """The cells of all parts, sorted."""
        if len(parts) == 1:
            return parts[0]
        lengths, counts = (np.concatenate(each) for each in zip(*((p.lengths, p.counts) for p in parts), strict=True))
        order = by_length(lengths)
        cells = cls.of(lengths[order])
        return cls(cells.lengths, np.add.reduceat(counts[order], np.cumsum(cells.counts) - cells.counts))


def by_length(lengths: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """The order of rows by their last length, ties by the one before it, up and down in turn.

    lengths: (rows,), or (rows, 2). Rows of equal lengths keep their order, or get a random one with a generator.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    keys = _keys(lengths)
    return order[np.argsort(keys[order], kind="stable")]


def _keys(lengths: np.ndarray) -> np.ndarray:
    """A number for each row by which they are sorted; of 16 bits where that is enough, as it is sorted faster."""
    if lengths.ndim == 1:
        return lengths
    other, last = lengths.T
    short = lengths.max(initial=0) < 256
    width = 256 if short else 1 << 31
    keys = last * width + np.where(last % 2, width - 1 - other, other)
    return keys.astype(np.uint16) if short else keys


def classify(cells: Cells, tokens: int | None, sentences: int | None, most: int) -> list[Class]:
    """Cut a sorted text into at most `most` classes, with the least padding that this can have.

    cells: source and target lengths, sorted so that like pairs are neighbours. A batch takes `tokens`, padding
    included, or so many sentences. By dynamic programming over stretches of pairs that are equal, or nearly so in a
    text of very many lengths.
    """
    firsts = np.arange(1, len(cells))  # cells that begin a stretch, after the first
    if len(firsts) >= STRETCHES:
        firsts = firsts[np.linspace(0, len(firsts) - 1, STRETCHES - 1).astype(int)]
    firsts = np.concatenate([[0], firsts])
    edges = np.concatenate([[0], np.cumsum(cells.counts)])[[*firsts, len(cells)]]
    longest = np.maximum.reduceat(cells.lengths, firsts)
    stretches = len(longest)
    cost = np.full((stretches, stretches + 1), np.inf)  # tokens, of the class from one edge to another
    for start in range(stretches):
        both = np.maximum.accumulate(longest[start:], axis=0).sum(axis=1)
        _, size = _batches(edges[start + 1 :] - edges[start], both, tokens, sentences)
        cost[start, start + 1 :] = size * both
    best, origins = np.full(stretches + 1, np.inf), []
    best[0] = 0.0
    for _ in range(min(most, stretches)):
        total = best[:-1, None] + cost
        origins.append(total.argmin(axis=0))
        best = np.minimum.reduce(total, axis=0)
        best[0] = 0.0  # no class at all: so there may be fewer than `most`
    ends = [stretches]
    while ends[-1]:
        ends.append(int(origins.pop()[ends[-1]]))
    classes = []
    for first, last in pairwise(reversed(ends)):
        source, target = (int(side) for side in longest[first:last].max(axis=0))
        start, end = int(edges[first]), int(edges[last])
        count, size = _batches(np.array(end - start), np.array(source + target), tokens, sentences)
        classes.append(Class(start, end, int(count), Shape(int(size // count), source, target)))
    return classes


def divide(classes: list[Class], whole: Cells, parts: Sequence[Cells]) -> list[list[Class]]:
    """The classes of a text in the rows of each of its parts, which has some of the pairs of each class."""
    ends = [each.end for each in classes]
    places = np.searchsorted(ends, np.cumsum(whole.counts) - whole.counts, side="right")  # the class of each cell
    class_of = dict(zip(map(tuple, whole.lengths.tolist()), places.tolist(), strict=True))
    divided = []
    for cells in parts:
        own = [class_of[tuple(lengths)] for lengths in cells.lengths.tolist()]
        sizes = np.bincount(own, cells.counts, len(classes)).astype(int).tolist()
        starts = np.cumsum([0, *sizes]).tolist()
        divided.append(
            [
                each._replace(start=start, end=end, batches=-(-(end - start) // each.shape.pairs))
                for each, (start, end) in zip(classes, pairwise(starts), strict=True)
            ]
        )
    return divided


def _batches(
    pairs: np.ndarray, length: np.ndarray, tokens: int | None, sentences: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """How many batches take so many pairs of that length, and how many pairs all of them would hold.

    The batches are as full as each other.
    """
    room = np.full_like(pairs, sentences) if tokens is None else np.maximum(1, tokens // length)
    count = -(-pairs // room)
    return count, count * -(-pairs // count)
