"""What is counted of text that passes once: lengths, ratios, characters, and a sample; memory does not grow with it."""

import random
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from trainables.data.checks.lengths import BLOCK as CHUNK
from trainables.data.checks.lengths import BLOCKS as CHUNKS

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
LONGEST = 20_000  # a longer line counts as one of this length, but for the sum and the maximum
OCTAVES, STEPS = 10, 64  # ratios from 1:1024 to 1024:1, in steps of 1.1%


class Lengths:
    """How often each length occurs."""

    def __init__(self) -> None:
        self.total = self.longest = 0
        self._counts = np.zeros(LONGEST + 1, np.int64)

    def add(self, lengths: np.ndarray) -> None:
        """Count the lengths of some lines."""
        self.total += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max(initial=0)))
        self._counts += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)

    def quantiles(self, shares: Sequence[float] = QUANTILES) -> list[int]:
        """The least lengths that so many of the lines do not exceed; of share 1 the longest line."""
        up_to = np.cumsum(self._counts)
        found = np.searchsorted(up_to, np.ceil(np.array(shares) * up_to[-1]).clip(1))
        return [self.longest if share == 1 else int(length) for share, length in zip(shares, found, strict=True)]


class Ratios:
    """How often lengths of targets are so many times those of their sources; empty lines are left out."""

    def __init__(self) -> None:
        self._steps = Lengths()

    def add(self, source: np.ndarray, target: np.ndarray) -> None:
        """Count the ratios of some pairs."""
        both = (source > 0) & (target > 0)
        octaves = np.log2(target[both] / source[both]).clip(-OCTAVES, OCTAVES)
        self._steps.add(np.rint((octaves + OCTAVES) * STEPS).astype(int))

    def quantiles(self, shares: Sequence[float] = QUANTILES) -> list[float]:
        """As of `Lengths`, within 1%."""
        return [2.0 ** (step / STEPS - OCTAVES) for step in self._steps.quantiles(shares)]


class Characters:
    """How often each character occurs."""

    def __init__(self) -> None:
        self._counts = np.zeros(0x110000, np.int64)

    def add(self, lines: list[str]) -> None:
        """Count the characters of some lines."""
        codes = np.frombuffer("".join(lines).encode("utf-32-le", "surrogatepass"), np.uint32)
        if len(codes):
            counts = np.bincount(codes)
            self._counts[: len(counts)] += counts

    def __or__(self, other: "Characters") -> "Characters":
        both = Characters()
        both._counts = self._counts + other._counts
        return both

    @property
    def distinct(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self._counts))

    def scripts(self) -> dict[str, float]:
        """The share of letters in each script, the largest first."""
        letters: Counter[str] = Counter()
        for code in np.flatnonzero(self._counts).tolist():
            if script := script_of(chr(code)):
                letters[script] += int(self._counts[code])
        total = letters.total()
        return {script: number / total for script, number in letters.most_common()}

    def lacking(self, known: "Characters") -> dict[str, int]:
        """The characters that others do not have, with their numbers, the most frequent first; white space aside."""
        codes = np.flatnonzero((self._counts > 0) & (known._counts == 0)).tolist()
        found = {chr(code): int(self._counts[code]) for code in codes if not chr(code).isspace()}
        return dict(sorted(found.items(), key=lambda entry: -entry[1]))


@cache
def script_of(character: str) -> str | None:
    """Latin, Cyrillic, Han, …, by the name of a letter in Unicode; None for what is no letter.

    >>> script_of("é"), script_of("я"), script_of("中"), script_of("1")
    ('Latin', 'Cyrillic', 'Han', None)
    """
    if not character.isalpha():
        return None
    words = [word for word in unicodedata.name(character, "").split() if word not in ("FULLWIDTH", "HALFWIDTH")]
    return {"CJK": "Han", "MODIFIER": None}.get(words[0], words[0].title()) if words else None


class Sample:
    """Up to 400 stretches of 200 successive pairs, evenly likely from all over a text; the same for the same text.

    Of a text that is not longer it has all pairs.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._kept: list[tuple[int, list[tuple[str, str]]]] = []
        self._begun: list[tuple[str, str]] = []
        self.pairs = 0

    def add(self, source: list[str], target: list[str]) -> None:
        """Take note of pairs that follow those before."""
        self._begun += zip(source, target, strict=True)
        while len(self._begun) >= CHUNK:
            self._keep(self.pairs // CHUNK, self._begun[:CHUNK])
            self._begun = self._begun[CHUNK:]
            self.pairs += CHUNK

    def _keep(self, number: int, chunk: list[tuple[str, str]]) -> None:
        place = len(self._kept) if number < CHUNKS else self._random.randrange(number + 1)
        if place < CHUNKS:
            self._kept[place : place + 1] = [(number * CHUNK + 1, chunk)]

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        """Number, source and target of each pair, in the order of the text."""
        last = [(self.pairs + 1, self._begun)] if self.pairs < CHUNK * CHUNKS else []
        for first, chunk in [*sorted(self._kept), *last]:
            for number, (source, target) in enumerate(chunk, first):
                yield number, source, target
