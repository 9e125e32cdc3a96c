"""What is wrong, or noteworthy, with the sentences of a split, whatever file they come from."""

from collections.abc import Sequence

from trainables.base.errors import Doubt
from trainables.data.lengths import Pairs, check_lengths

MOSTLY = 0.9  # of the pairs of a split
NOTEWORTHY = 0.02
LONGEST, KEPT_BY_SENTENCEPIECE = 4192, "\u2585"  # a longer line, or one with this sign, teaches sentencepiece nothing


def examine(name: str, source: list[str], target: list[str], numbers: Sequence[int]) -> list[str]:
    """What is noteworthy about the pairs of a split, where numbers has the place of each in its file.

    Raises Doubt where most targets copy their sources, or the lines do not translate each other.
    """
    return [*_check_copies(name, source, target), *check_lengths(Pairs(name, source, target, numbers))]


def count_unlearned(name: str, sentences: list[str]) -> list[str]:
    """Whether the tokenizer's training leaves out some of its text."""
    ignored = sum(KEPT_BY_SENTENCEPIECE in text or len(text.encode()) > LONGEST for text in sentences)
    if not ignored:
        return []
    return [
        f"the tokenizer learns nothing from {ignored} sentences of {name}, as sentencepiece leaves out what has "
        f"more than {LONGEST:,} bytes or the sign {KEPT_BY_SENTENCEPIECE} (U+2585)"
    ]


def _check_copies(name: str, source: list[str], target: list[str]) -> list[str]:
    copies = sum(first == second for first, second in zip(source, target, strict=True))
    if copies > MOSTLY * len(source) and len(source) > 1:
        raise Doubt(
            f"data.path: {copies} of {len(source)} pairs of {name} have the same text on both sides; are both files of "
            "one language?"
        )
    if copies > NOTEWORTHY * len(source):
        return [f"{copies} of {len(source)} pairs of {name} have the same text on both sides"]
    return []
