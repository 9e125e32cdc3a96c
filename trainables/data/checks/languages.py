"""Which side of the training text a line reads like: languages that are swapped in one split against the others.

No language is identified. How much more often each group of three characters stands on one side of the training text
than on the other says which side a new line leans to. Half of the pairs looked at make that profile, the others say how
far it can be trusted: where it can't tell the sides of the training text apart (a paraphrase, two spellings), nothing
is said of other splits either.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from trainables.base.errors import Doubt

Sides = tuple[Sequence[str], Sequence[str]]
LOOKED_AT = 2000  # training pairs, from all over the text, and as many of the other split
LEAST_TRAIN, LEAST_OTHER = 100, 20  # pairs; by fewer nothing is said
# Measured on programs' messages in 49 pairs of languages, Multi30k and the phrasebook, valid from the domain of train
# and from others (names of countries against manuals). Where the sides of train can be told apart, at most 51% of a
# good split's pairs lean the wrong way, and their mean the right way still; in a swapped split of train's domain 90%
# and more do, as far as train's lean the right way.
TOLD_APART, SWAPPED, STRENGTH = 0.9, 0.9, 0.5


def check_languages(train: Sides, name: str, other: Sides) -> list[str]:
    """What is noteworthy about the languages of a split. Raises Doubt where its sides are swapped against train's.

    Both are source and target.
    """
    if len(train[0]) < LEAST_TRAIN or len(other[0]) < LEAST_OTHER:
        return []
    pairs = list(zip(*(spread(side, LOOKED_AT) for side in train), strict=True))
    profile = _profile(pairs[::2])
    known = [_leans(profile, pair) for pair in pairs[1::2]]
    new = [_leans(profile, pair) for pair in zip(*(spread(side, LOOKED_AT) for side in other), strict=True)]
    if _share(source > target for source, target in known) < TOLD_APART:
        return []
    wrong_way = _share(source < target for source, target in new)
    by = _mean(target - source for source, target in new)
    if wrong_way >= SWAPPED and by >= STRENGTH * _mean(source - target for source, target in known):
        raise Doubt(
            f"data.path: the sides of {name} are swapped: {wrong_way:.0%} of its pairs fit the training text better "
            f"the other way round; exchange source and target of {name} (its files, columns or keys)"
        )
    if _reads_like_target(known, new):
        return [
            f"the source side of {name} reads like the target side of the training text; are both sides of one "
            "language?"
        ]
    return []


def _reads_like_target(known: list[tuple[float, float]], new: list[tuple[float, float]]) -> bool:
    """Whether both sides lean to the target, where the training text's sides can be told apart line by line."""
    apart = min(_share(source > 0 for source, _ in known), _share(target < 0 for _, target in known))
    there = min(_share(source < 0 for source, _ in new), _share(target < 0 for _, target in new))
    strong = STRENGTH * _mean(target for _, target in known)
    return apart >= TOLD_APART and there >= SWAPPED and _mean(source for source, _ in new) <= strong


def spread(lines: Sequence[str], most: int) -> Sequence[str]:
    """Some of the lines, evenly from all over the text."""
    return lines[:: max(1, -(-len(lines) // most))]


def _groups(line: str) -> Iterator[str]:
    line = f" {line} "
    return (line[i : i + 3] for i in range(len(line) - 2))


def _profile(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """The log ratio of each group's frequencies on the source and the target side."""
    counts = [Counter(group for pair in pairs for group in _groups(pair[side])) for side in (0, 1)]
    groups = counts[0].keys() | counts[1].keys()
    totals = [count.total() + 0.5 * len(groups) for count in counts]
    return {
        group: math.log((counts[0][group] + 0.5) / totals[0]) - math.log((counts[1][group] + 0.5) / totals[1])
        for group in groups
    }


def _leans(profile: dict[str, float], pair: tuple[str, str]) -> tuple[float, float]:
    """How far each side leans to the source (above 0) or the target (below)."""
    source, target = (_mean(profile.get(group, 0.0) for group in _groups(line)) for line in pair)
    return source, target


def _mean(values: Iterator[float]) -> float:
    numbers = list(values)
    return sum(numbers) / max(len(numbers), 1)


def _share(holds: Iterator[bool]) -> float:
    return _mean(float(value) for value in holds)
