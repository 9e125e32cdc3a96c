"""What exports leave round sentences, and no sentence has: ids, numbers of lines, quotes of CSV."""

import re
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise

LOOKED_AT = 1000  # first lines of a side
LEAST = 10  # lines; fewer may look alike by chance
NEARLY_ALL = 0.9  # of them
ID_AND_TAB = re.compile(r"\S*\d\S* *\t")
# "12. Hello", "(12) Hello", "12: Hello"; and, apart, "12 Hello", which may be a sentence.
NUMBER = re.compile(r"(?:[\[(#]?(\d{1,18})(?:[\])][.:]?|[.:|;])|(\d{1,18}))\s")
QUOTED = re.compile(r'"(?:[^"]|"")*"')  # a cell of CSV
CONVERT = (
    "convert it, as by `python3 -c \"import csv, sys; [print(*(' '.join(c.split()) for c in r), sep='\\t') for r in "
    "csv.reader(sys.stdin, delimiter='\\t')]\" < {file} > converted`"
)


@dataclass(frozen=True)
class Marking:
    """What is told of a side, and whether it can't be right."""

    text: str
    certain: bool


def find_markings(lines: Sequence[str], file: str, table: bool) -> list[Marking]:
    """The markings of one side of a file, which may be a table."""
    some = [line for line in lines[:LOOKED_AT] if line]
    found = []
    if len(some) >= LEAST:
        found = [marking for marking in (_ids(some, file), _quotes(some, file, table)) if marking]
    if table and not found and (marking := _cells_of_csv(lines, file)):
        found.append(marking)
    return found


def _ids(lines: list[str], file: str) -> Marking | None:
    if _nearly_all([line for line in lines if ID_AND_TAB.match(line)], lines):
        cut = f"cut it off, as by `cut -f 2- {file} > converted`, or name the file as a table, .tsv, with data.columns"
        return Marking(f"nearly every line starts with an id and a tab, as {_shown(lines[0])}; {cut}", True)
    matches = [found for line in lines if (found := NUMBER.match(line))]
    numbers = [int(found[1] or found[2]) for found in matches]
    if not _nearly_all(numbers, lines) or not _nearly_all(set(numbers), numbers):
        return None
    marked = _nearly_all([found for found in matches if found[1]], matches)
    steps = [second - first for first, second in pairwise(numbers)]
    told = f"nearly every line starts with a number of its own, as {_shown(lines[0])}"
    if marked and _nearly_all([step for step in steps if step == 1], steps):
        cut = f"cut it off, as by `sed -E 's/^[^0-9]?[0-9]+[^ ]* *//' {file} > converted`"
        return Marking(f"{told}, counted up from line to line; {cut}", True)
    return Marking(f"{told}; is it a part of the sentence?", False)


def _quotes(lines: Sequence[str], file: str, table: bool) -> Marking | None:
    cells = [line for line in lines if QUOTED.fullmatch(line)]
    if not _nearly_all(cells, lines):
        return None
    told = f"nearly every {'cell' if table else 'line'} is quoted as in CSV, as {_shown(cells[0])}"
    if table:
        return Marking(f"{told}; {CONVERT.format(file=file)}", True)
    if any('""' in cell[1:-1] for cell in cells):
        return Marking(f"{told}, with quotes in it doubled; take off the quoting of CSV", True)
    return Marking(f"{told}; are the quotes a part of the sentences?", False)


def _cells_of_csv(lines: Sequence[str], file: str) -> Marking | None:
    """Where CSV quotes what holds quotes alone: all such cells are quoted, and one has doubled quotes at least."""
    cells = [line for line in lines if '"' in line]
    doubled = [cell for cell in cells if '""' in cell[1:-1]]
    if not doubled or not all(map(QUOTED.fullmatch, cells)):
        return None
    told = f"{len(cells):,} of {len(lines):,} cells are quoted as in CSV, as {_shown(doubled[0])}"
    return Marking(f"{told}; {CONVERT.format(file=file)}", False)


def _nearly_all(some: Sized, of: Sized) -> bool:
    return len(some) >= NEARLY_ALL * len(of) and len(of) > 0


def _shown(line: str) -> str:
    return repr(f"{line[:40]}…" if len(line) > 41 else line)
