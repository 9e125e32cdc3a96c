"""Files that hold both sides of a corpus: a table of formats, a file each."""

from collections.abc import Callable
from dataclasses import dataclass

from trainables.base.data_config import DataConfig
from trainables.data.reading.formats.arrow import read_arrow, read_parquet
from trainables.data.reading.formats.csv import read_csv
from trainables.data.reading.formats.json_array import read_json
from trainables.data.reading.formats.jsonl import read_jsonl
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.formats.tmx import read_tmx
from trainables.data.reading.formats.tsv import read_tsv
from trainables.data.reading.sources import Source


@dataclass(frozen=True)
class Format:
    """One format: how a file is read, as rows in the order of the file."""

    read: Callable[[Source, DataConfig], Rows]  # raises UserError
    cells: bool = False  # text lies between separators, so quotes and commas may be left of another format
    unit: str = "line"  # what the number of a row counts


# By the end of a file's name, before that of its compression. A new format is a file beside these, and a line here.
FORMATS = {
    "tsv": Format(read_tsv, cells=True),
    "csv": Format(read_csv),
    "jsonl": Format(read_jsonl),
    "json": Format(read_json, unit="record"),
    "tmx": Format(read_tmx),
    "parquet": Format(read_parquet, unit="row"),
    "arrow": Format(read_arrow, unit="row"),
}


def format_of(source: Source) -> Format:
    """By its name; one that says nothing is a table."""
    return FORMATS.get(source.name.rpartition(".")[2], FORMATS["tsv"])
