"""Pairs as a table: cells between tabs, perhaps with a header."""

import re
from collections.abc import Iterator
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.translation_config import DataConfig
from trainables.data.formats.lines import read_lines

HEADERS = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("source", "translation"))  # in lower case
LOOKED_AT = 1000  # lines of a table, to see whether a column is text
MOSTLY = 0.9  # of them
SHOWN = 80  # characters of a line in a message


def read_tsv(path: Path, config: DataConfig) -> Iterator[tuple[str, str]]:
    """The pairs of a file, from the columns that `data.columns` or a header names, else from the first two.

    Raises UserError.
    """
    lines = read_lines(path)
    columns, first = _find_columns(path, lines, config)
    rows = []
    for number, line in enumerate(lines[first:], 1 + first):
        cells = line.split("\t")
        if line.strip() and len(cells) <= max(columns):
            wanted = "a line is source, tab, target" if columns == (0, 1) else f"column {max(columns) + 1} is wanted"
            raise UserError(f"{path}: line {number} has {_count_tabs(cells)}; {wanted}")
        rows.append(tuple(cells[column].strip() for column in columns) if line.strip() else ("", ""))
    _refuse_columns_without_text(path, lines[first:], rows, columns)
    yield from ((source, target) for source, target in rows)


def _count_tabs(cells: list[str]) -> str:
    return "no tab" if len(cells) == 1 else f"{len(cells)} columns"


def _find_columns(path: Path, lines: list[str], config: DataConfig) -> tuple[tuple[int, int], int]:
    """Where source and target stand, from 0, and how many lines are no pairs."""
    header = [cell.strip() for cell in lines[0].split("\t")] if lines else []
    lower = [cell.lower() for cell in header]
    if config.columns:
        return _named_columns(path, header, config.columns)
    for source, target in ((config.source, config.target), *HEADERS):
        if source.lower() in lower and target.lower() in lower:
            return (lower.index(source.lower()), lower.index(target.lower())), 1
    return (0, 1), 0


def _named_columns(path: Path, header: list[str], columns: tuple[str | int, str | int]) -> tuple[tuple[int, int], int]:
    found = []
    for column in columns:
        if isinstance(column, str) and column not in header:
            raise UserError(f"data.columns: {path}: no column {column!r} in its first line, which is {_shown(header)}")
        found.append(header.index(column) if isinstance(column, str) else column - 1)
    return (found[0], found[1]), int(any(isinstance(column, str) for column in columns))


def _refuse_columns_without_text(
    path: Path, lines: list[str], rows: list[tuple[str, ...]], columns: tuple[int, int]
) -> None:
    """Raises UserError for a column of numbers or addresses, and for one that copies the other."""
    some = [row for row in rows[:LOOKED_AT] if all(row)]
    if len(some) < 2:
        return
    cure = "name source and target by data.columns, as '[2, 4]', counted from 1"
    for side, column in enumerate(columns):
        if sum(re.fullmatch(r"[\d.,:;/ +-]+|https?://\S+", row[side]) is not None for row in some) > MOSTLY * len(some):
            raise UserError(
                f"{path}: column {column + 1} holds no text; its first line is {_shown(lines[0].split(chr(9)))}; {cure}"
            )
    if sum(row[0] == row[1] for row in some) > MOSTLY * len(some):
        raise UserError(f"{path}: columns {columns[0] + 1} and {columns[1] + 1} hold the same text; {cure}")


def _shown(cells: list[str]) -> str:
    line = " | ".join(cells)
    return f"{line[:SHOWN]}…" if len(line) > SHOWN else line
