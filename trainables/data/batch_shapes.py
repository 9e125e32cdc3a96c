"""A few shapes that all batches of a text share: steps can be captured for each, and trials stay in step."""

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


def classify(lengths: np.ndarray, tokens: int | None, sentences: int | None, most: int) -> list[Class]:
    """Cut a sorted text into at most `most` classes, with the least padding that this can have.

    lengths: (pairs, 2) of source and target, sorted so that like pairs are neighbours. A batch takes `tokens`, padding
    included, or so many sentences. By dynamic programming over stretches of pairs that are equal, or nearly so in a
    text of very many lengths.
    """
    changes = np.flatnonzero((np.diff(lengths, axis=0) != 0).any(axis=1)) + 1
    if len(changes) >= STRETCHES:
        changes = changes[np.linspace(0, len(changes) - 1, STRETCHES - 1).astype(int)]
    edges = np.concatenate([[0], changes, [len(lengths)]])
    longest = np.array([lengths[a:b].max(axis=0) for a, b in pairwise(edges)])
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


def _batches(
    pairs: np.ndarray, length: np.ndarray, tokens: int | None, sentences: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """How many batches take so many pairs of that length, and how many pairs all of them would hold.

    The batches are as full as each other.
    """
    room = np.full_like(pairs, sentences) if tokens is None else np.maximum(1, tokens // length)
    count = -(-pairs // room)
    return count, count * -(-pairs // count)
