"""Sentence pairs as flat arrays of ids."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from model.special_tokens import PAD


@dataclass(frozen=True, eq=False)
class Sequences:
    """Many id sequences in one array: sequence i is ids[offsets[i] : offsets[i + 1]] between `first` and `last`."""

    ids: np.ndarray  # (total,), of any integer type
    offsets: np.ndarray  # (n + 1,) int64
    first: int | None = None  # the id that begins each sequence and is not in the array
    last: int | None = None  # the id that ends it

    @classmethod
    def pack(cls, sequences: list[np.ndarray]) -> "Sequences":
        """From an array of ids for each sequence."""
        return cls(
            np.concatenate(sequences) if sequences else np.zeros(0, dtype=np.int32),
            offsets_of(np.fromiter(map(len, sequences), np.int64, len(sequences))),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """How many ids each sequence has: (N,) int64."""
        return np.diff(self.offsets) + (self.first is not None) + (self.last is not None)

    @property
    def total(self) -> int:
        """The ids of all sequences."""
        return len(self.ids) + len(self) * ((self.first is not None) + (self.last is not None))

    def counts(self, vocabulary: int) -> np.ndarray:
        """How often each id stands in the sequences: (vocabulary,) int64."""
        counts = np.bincount(self.ids, minlength=vocabulary)
        for special in (self.first, self.last):
            if special is not None:
                counts[special] += len(self)
        return counts

    def chosen(self, rows: np.ndarray) -> "Sequences":
        """The sequences at these places, in this order."""
        packed = Sequences.pack([self.ids[self.offsets[row] : self.offsets[row + 1]] for row in rows])
        return replace(packed, first=self.first, last=self.last)

    def padded(self, rows: np.ndarray, length: int | None = None) -> np.ndarray:
        """The given sequences, padded on the right: (len(rows), length) int64; by itself as long as the longest."""
        starts, before = self.offsets[rows], int(self.first is not None)
        inner = self.offsets[rows + 1] - starts
        columns = np.arange(int(inner.max()))
        inside = columns < inner[:, None]
        if length is None:
            length = len(columns) + before + (self.last is not None)
        out = np.full((len(rows), length), PAD, dtype=np.int64)
        out[:, before : before + len(columns)][inside] = self.ids[(starts[:, None] + columns)[inside]]
        if self.first is not None:
            out[:, 0] = self.first
        if self.last is not None:
            out[np.arange(len(rows)), inner + before] = self.last
        return out


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where each of the sequences of these lengths begins, and the last one ends: (n + 1,) int64."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Encoded(Protocol):
    """Sentence pairs in ids, in parts each of which fits into memory."""

    @property
    def num_parts(self) -> int:
        """The number of parts."""
        ...

    def part(self, number: int) -> "EncodedSplit":
        """The part of this number, from 0."""
        ...

    @property
    def overlong(self) -> int:
        """Pairs with a side above the limit, which were dropped or cut."""
        ...

    @property
    def target_tokens(self) -> int:
        """Tokens that are predicted in one pass: all but BOS."""
        ...

    def __len__(self) -> int:
        """The number of pairs."""
        ...

    def __hash__(self) -> int:
        """The hash of its identity: counts of a text are kept by it."""
        ...


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """Sentence pairs in ids, in memory or mapped into it; `overlong` pairs were dropped or cut."""

    source: Sequences
    target: Sequences
    overlong: int = 0

    def __len__(self) -> int:
        return len(self.source)

    @property
    def num_parts(self) -> int:
        """One: it is in memory."""
        return 1

    def part(self, number: int) -> "EncodedSplit":
        """Itself."""
        return self

    @property
    def target_tokens(self) -> int:
        """Tokens that are predicted in one pass: all but BOS."""
        return self.target.total - len(self)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(pairs, 2): tokens that are read and tokens that are predicted."""
        return np.stack((self.source.lengths, self.target.lengths - 1), axis=1)


def parts_of(text: Encoded) -> Iterator[EncodedSplit]:
    """The parts, one after another."""
    return (text.part(number) for number in range(text.num_parts))
