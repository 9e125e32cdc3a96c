"""Pairs as cells between tabs, perhaps with a header."""

from trainables.base.data_config import DataConfig
from trainables.data.reading.formats.columns import read_columns
from trainables.data.reading.formats.lines import read_lines
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.sources import Source


def read_tsv(source: Source, config: DataConfig) -> Rows:
    """The pairs, from the columns that `data.columns` or a header names, else from the first two.

    Raises UserError.
    """
    lines = ((number, line.split("\t")) for number, line in enumerate(read_lines(source), 1))
    return read_columns(source, config, lines, "tab")
