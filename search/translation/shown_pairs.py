"""Shows training pairs before the search starts, so that a user sees at once if the text is read wrongly."""

import unicodedata

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text as Cells

from trainables.data.reading.text import Text

LONGEST = 100  # columns for a side


def visible(text: str) -> str:
    r"""The text with control and zero-width characters as escapes, such as \u200b."""
    return "".join(
        character.encode("unicode_escape").decode() if _unseen(character) else character for character in text
    )


def show_pairs(split: Text, console: Console) -> None:
    """Print the first pair, one from the middle and the last one, which shows if lines are shifted."""
    for place in sorted({0, len(split) // 2, len(split) - 1} if len(split) else set()):
        label = f"pair {place + 1:,}: "
        width = min(LONGEST, console.width - len(label))
        sides = [_cut(visible(side[place]), width) for side in split.sides]
        between = " | " if cell_len("".join(sides)) + 3 <= width else f"\n{'| ':>{len(label)}}"
        console.print(label + between.join(sides), highlight=False, markup=False, emoji=False, soft_wrap=True)


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _cut(text: str, width: int) -> str:
    cut = Cells(text)
    cut.truncate(max(width, 1), overflow="ellipsis")
    return cut.plain
