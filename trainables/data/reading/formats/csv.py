"""Pairs as cells between commas, quoted where they hold one, perhaps with a header."""

import csv
from collections.abc import Iterator

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.columns import read_columns
from trainables.data.reading.formats.lines import read_lines
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.sources import Source


def read_csv(source: Source, config: DataConfig) -> Rows:
    """The pairs, from columns as of TSV; a quoted cell may hold commas, quotes, and line ends. Raises UserError."""
    return read_columns(source, config, _cells(source), "comma")


def _cells(source: Source) -> Iterator[tuple[int, list[str]]]:
    table = csv.reader((f"{line}\n" for line in read_lines(source)), strict=True)
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
