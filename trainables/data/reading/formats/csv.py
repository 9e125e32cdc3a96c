"""Pairs as cells between commas or semicolons, quoted where they hold one, perhaps with a header."""

import csv
from collections.abc import Iterator
from itertools import chain

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.columns import read_columns
from trainables.data.reading.formats.lines import read_lines
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.sources import Source


def read_csv(source: Source, config: DataConfig) -> Rows:
    """The pairs, from columns as of TSV; a quoted cell may hold separators, quotes, and line ends.

    Cells stand between semicolons, as some spreadsheets write them, if the first line has no comma outside of quotes.
    Raises UserError.
    """
    lines = read_lines(source)
    first = next(lines, None)
    if first is None:
        return iter(())
    separator = ";" if len(next(csv.reader([first]), [])) == 1 and ";" in first else ","
    cells = _cells(source, chain([first], lines), separator)
    return read_columns(source, config, cells, "semicolon" if separator == ";" else "comma")


def _cells(source: Source, lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    table = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    before = 0
    try:
        for row in table:
            yield before + 1, row
            before = table.line_num
    except csv.Error as error:
        raise UserError(
            f"{source}: the cells from line {before + 1} on are no CSV ({error}); a quote within a quoted cell is "
            "written twice, and the last one is not missing"
        ) from None
