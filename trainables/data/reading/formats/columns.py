"""Which cells of a table are source and target: by a header, by `data.columns`, else the first two."""

import re
from collections.abc import Iterator
from itertools import chain, islice

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.language_codes import find_sides
from trainables.data.reading.sources import Source

LOOKED_AT = 1000  # lines of a table, to see whether a column is text
MOSTLY = 0.9  # of them
PLAUSIBLE = 3  # columns without names, of which the first two are source and target
SHOWN = 80  # characters of a line in a message
CURE = "name source and target by data.columns, as '[2, 4]', counted from 1"


def read_columns(source: Source, config: DataConfig, lines: Iterator[tuple[int, list[str]]], separator: str) -> Rows:
    """The pairs of a table, of which each line comes with its number; separator: what stands between cells.

    Raises UserError.
    """
    number, header = next(lines, (0, []))
    if not number:
        return
    columns, named = _find_columns(source, header, config)
    rows = _pick(source, lines if named else chain([(number, header)], lines), columns, separator)
    some = list(islice(rows, LOOKED_AT))
    _refuse_columns_without_text(source, header, some, columns)
    if not named and not config.columns and len(header) > PLAUSIBLE:
        raise UserError(
            f"{source}: has {len(header)} columns without names; its first line is {_shown(header)}; {CURE}"
        )
    yield from chain(some, rows)


def _pick(source: Source, lines: Iterator[tuple[int, list[str]]], columns: tuple[int, int], separator: str) -> Rows:
    first, second = columns
    last = max(columns)
    for number, cells in lines:
        if len(cells) > last:
            yield number, cells[first], cells[second]
        elif any(map(str.strip, cells)):
            wanted = f"a line is source, {separator}, target" if columns == (0, 1) else f"column {last + 1} is wanted"
            count = f"no {separator}" if len(cells) == 1 else f"{len(cells)} columns"
            raise UserError(f"{source}: line {number} has {count}; {wanted}")
        else:
            yield number, "", ""


def _find_columns(source: Source, first: list[str], config: DataConfig) -> tuple[tuple[int, int], bool]:
    """Where source and target stand, from 0, and whether the first line is a header."""
    header = [cell.strip() for cell in first]
    if config.columns:
        found = [_find_column(source, header, column) for column in config.columns]
        return (found[0], found[1]), any(isinstance(column, str) for column in config.columns)
    if sides := find_sides(dict.fromkeys(header), config, str(source)):
        return (header.index(sides[0]), header.index(sides[1])), True
    return (0, 1), False


def _find_column(source: Source, header: list[str], column: str | int) -> int:
    if isinstance(column, int):
        return column - 1
    if column not in header:
        raise UserError(f"data.columns: {source}: no column {column!r} in its first line, which is {_shown(header)}")
    return header.index(column)


def _refuse_columns_without_text(
    source: Source, header: list[str], rows: list[tuple[int, str, str]], columns: tuple[int, int]
) -> None:
    """Raises UserError for a column of numbers or addresses, and for one that copies the other."""
    some = [sides for _, *sides in rows if all(map(str.strip, sides))]
    if len(some) < 2:
        return
    for side, column in enumerate(columns):
        plain = (re.fullmatch(r"\s*([\d.,:;/ +-]+|https?://\S+)\s*", sides[side]) for sides in some)
        if sum(match is not None for match in plain) > MOSTLY * len(some):
            raise UserError(f"{source}: column {column + 1} holds no text; its first line is {_shown(header)}; {CURE}")
    if sum(one.strip() == other.strip() for one, other in some) > MOSTLY * len(some):
        raise UserError(f"{source}: columns {columns[0] + 1} and {columns[1] + 1} hold the same text; {CURE}")


def _shown(cells: list[str]) -> str:
    line = " | ".join(cells)
    return f"{line[:SHOWN]}…" if len(line) > SHOWN else line
