"""What is wrong, or noteworthy, with the sentences of a split, whatever file they come from."""

from collections.abc import Sequence
from operator import eq

from trainables.base.errors import Doubt
from trainables.base.wording import count
from trainables.data.checks.lengths import check_lengths
from trainables.data.reading.text import Text

MOSTLY = 0.9  # of the pairs of a split
NOTEWORTHY = 0.02
LONGEST, KEPT_BY_SENTENCEPIECE = 4192, "\u2585"  # a longer line, or one with this sign, teaches sentencepiece nothing


def examine(name: str, split: Text, numbers: Sequence[int]) -> list[str]:
    """What is noteworthy about the pairs of a split, where numbers has the place of each in its file.

    Raises Doubt where most targets copy their sources, or the lines do not translate each other.
    """
    return [*_check_copies(name, split), *check_lengths(name, split, numbers)]


def count_unlearned(name: str, split: Text) -> list[str]:
    """Whether the tokenizer's training leaves out some of its text."""
    ignored = sum(_unlearned(lines) for block in split.blocks() for lines in block)
    if not ignored:
        return []
    return [
        f"the tokenizer learns nothing from {count(ignored, 'sentence', 'sentences')} of {name}, "
        f"as sentencepiece leaves out what has more than {LONGEST:,} bytes or the sign {KEPT_BY_SENTENCEPIECE} (U+2585)"
    ]


def _unlearned(lines: Sequence[str]) -> int:
    if 4 * max(map(len, lines)) <= LONGEST and KEPT_BY_SENTENCEPIECE not in "\n".join(lines):
        return 0  # nearly always, and soon seen
    return sum(KEPT_BY_SENTENCEPIECE in text or len(text.encode()) > LONGEST for text in lines)


def _check_copies(name: str, split: Text) -> list[str]:
    copies = sum(sum(map(eq, *block)) for block in split.blocks())
    if copies > MOSTLY * len(split) and len(split) > 1:
        raise Doubt(
            f"data.path: {copies} of {len(split)} pairs of {name} have the same text on both sides; are both files of "
            "one language?"
        )
    if copies > NOTEWORTHY * len(split):
        return [f"{copies} of {len(split)} pairs of {name} have the same text on both sides"]
    return []
