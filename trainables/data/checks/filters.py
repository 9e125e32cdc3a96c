"""Training pairs that `data.filters` leaves out: a table of filters, a small class each.

Filters see the text as a stream of blocks, and keep no text. The same pairs in the same order give the same result.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import numpy as np

from trainables.base.data_config import DataConfig
from trainables.data.checks.garbling import has_markup, is_garbled
from trainables.data.checks.language_guess import guess, kin_of, need_languages
from trainables.data.checks.lengths import SHORT
from trainables.data.checks.line_hashes import Seen, hash_lines, hash_pairs
from trainables.data.reading.formats.lines import is_blank

BLOCK = 8000  # pairs


@dataclass(frozen=True)
class Block:
    """Pairs that follow each other in a file; first is the number of the first of them, from 1."""

    first: int
    source: list[str]
    target: list[str]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """Source and target."""
        return self.source, self.target

    @cached_property
    def blank(self) -> np.ndarray:
        """Whether a pair has a blank side."""
        return np.array(
            [is_blank(source) or is_blank(target) for source, target in zip(*self.sides, strict=True)], bool
        )

    @cached_property
    def lengths(self) -> np.ndarray:
        """Characters, one row a side."""
        return np.array([[len(line) for line in side] for side in self.sides])

    @cached_property
    def hashes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The hashes of sources, targets and pairs."""
        source, target = map(hash_lines, self.sides)
        return source, target, hash_pairs(source, target)


class Filter(Protocol):
    """One filter on its way through one text."""

    def drops(self, block: Block) -> np.ndarray:
        """Whether each pair is to be left out; blocks come in the order of the text, each once."""


class MinLength:
    """Sides of fewer characters."""

    def __init__(self, value: int, data: DataConfig):
        self.value = value

    def drops(self, block: Block) -> np.ndarray:
        return block.lengths.min(axis=0) < self.value


class MaxLength:
    """Sides of more characters."""

    def __init__(self, value: int, data: DataConfig):
        self.value = value

    def drops(self, block: Block) -> np.ndarray:
        return block.lengths.max(axis=0) > self.value


class MaxRatio:
    """Sides whose lengths do not go together.

    A Chinese sentence has a third of the characters of its English translation, so the ratio of two lengths is compared
    with the median of the first block. Short pairs stay: "Oui" is right for "Yes, indeed".
    """

    def __init__(self, value: float, data: DataConfig):
        self.most = math.log(value)
        self.usual: float | None = None

    def drops(self, block: Block) -> np.ndarray:
        source, target = np.log(np.maximum(block.lengths, 1))
        ratios = target - source
        if self.usual is None:
            self.usual = float(np.median(ratios[~block.blank])) if not block.blank.all() else 0.0
        long = np.maximum(source + self.usual, target) >= math.log(SHORT)
        return long & (np.abs(ratios - self.usual) > self.most + 1e-9)


class ByText:
    """Pairs of which a function of both sides says so."""

    def __init__(self, holds: Callable[[str, str], bool]):
        self.holds = holds

    def drops(self, block: Block) -> np.ndarray:
        return np.fromiter(map(self.holds, *block.sides), bool, len(block))


class OtherLanguage:
    """Sides that are surely in another language than is claimed, or one too close to it to be told apart."""

    def __init__(self, value: bool, data: DataConfig):
        self.claimed = [kin_of(language) for language in need_languages(data)]

    def drops(self, block: Block) -> np.ndarray:
        source, target = (
            np.array([(found := guess(line)) is not None and found not in languages for line in side], bool)
            for languages, side in zip(self.claimed, block.sides, strict=True)
        )
        return source | target


class Repeated:
    """Pairs that occurred before."""

    def __init__(self, value: bool, data: DataConfig):
        self.seen = Seen()

    def drops(self, block: Block) -> np.ndarray:
        return self.seen.add(block.hashes[2])


@dataclass(frozen=True)
class FilterKind:
    """How a filter is made of its value in `data.filters`, what is wrong with the pairs, and a usual value."""

    make: Callable[[Any, DataConfig], Filter]
    what: str
    usual: int | float | bool


# By their keys in `data.filters`. A new filter is a class above, a line here, and a key in FiltersConfig.
FILTERS = {
    "min_length": FilterKind(MinLength, "a side of fewer than {value} characters", 2),
    "max_length": FilterKind(MaxLength, "a side of more than {value} characters", 1000),
    "max_ratio": FilterKind(MaxRatio, "sides of lengths that are off the usual ratio by more than {value:g} times", 3),
    "copies": FilterKind(lambda _, __: ByText(str.__eq__), "the same text on both sides", True),
    "garbled": FilterKind(
        lambda _, __: ByText(lambda source, target: is_garbled(source) or is_garbled(target)),
        "control characters, or text that was read in a wrong encoding",
        True,
    ),
    "markup": FilterKind(
        lambda _, __: ByText(lambda source, target: has_markup(source) or has_markup(target)),
        "HTML or XML tags, or entities such as &amp;",
        True,
    ),
    "language": FilterKind(OtherLanguage, "a side in another language than claimed", True),
    "deduplicate": FilterKind(Repeated, "the same text as an earlier pair", True),
}


def make_filters(data: DataConfig) -> dict[str, Filter]:
    """The filters that `data.filters` asks for, new for one text. Raises UserError for what one of them lacks."""
    return {name: FILTERS[name].make(value, data) for name, value in data.filters.chosen.items()}


def blocks_of(pairs: Iterable[tuple[str, str]]) -> Iterator[Block]:
    """The pairs in blocks of 8,000."""
    rest, first = iter(pairs), 1
    while some := list(islice(rest, BLOCK)):
        yield Block(first, [source for source, _ in some], [target for _, target in some])
        first += len(some)


def filtered(
    pairs: Iterable[tuple[str, str]], filters: Mapping[str, Filter], dropped: Counter[str]
) -> Iterator[tuple[int, str, str]]:
    """Yield number, source and target of the pairs that no filter drops; numbers count all pairs from 1.

    A pair with a blank side passes: what becomes of it is not for a filter to say.

    Args:
        pairs: Source and target, in the order of the text.
        filters: By name, from `make_filters`; used for this text alone.
        dropped: Gets what each filter dropped; a pair counts for the first that does.
    """
    for block in blocks_of(pairs):
        kept = np.ones(len(block), bool)
        for name, each in filters.items():
            drops = each.drops(block) & ~block.blank & kept
            dropped[name] += int(np.count_nonzero(drops))
            kept &= ~drops
        for place in np.flatnonzero(kept).tolist():
            yield block.first + place, block.source[place], block.target[place]


def tell_dropped(dropped: Mapping[str, int], pairs: int, data: DataConfig) -> str:
    """What filters left out of the pairs of a text, as a sentence."""
    values = data.filters.chosen
    shares = [f"{dropped.get(name, 0):,} by {_with_value(name, value)}" for name, value in values.items()]
    return f"data.filters leaves out {sum(dropped.values()):,} of {pairs:,} training pairs: {', '.join(shares)}"


def _with_value(name: str, value: int | float | bool) -> str:
    return name if value is True else f"{name} {value:g}"
