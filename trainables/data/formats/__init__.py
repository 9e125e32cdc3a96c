"""Files that hold both sides of a corpus: a table of formats, a file each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainables.base.translation_config import DataConfig
from trainables.data.formats.jsonl import read_jsonl
from trainables.data.formats.tsv import read_tsv


@dataclass(frozen=True)
class Format:
    """One format: how a file is read, as pairs of source and target in the order of the file."""

    read: Callable[[Path, DataConfig], Iterator[tuple[str, str]]]  # raises UserError
    cells: bool = False  # text lies between separators, so quotes and commas may be left of another format


# By the end of a file's name, before .gz. A new format is a file beside these, and a line here.
FORMATS = {"tsv": Format(read_tsv, cells=True), "jsonl": Format(read_jsonl)}


def format_of(file: Path) -> Format:
    """By the file's name; one that says nothing is a table."""
    return FORMATS.get(file.name.removesuffix(".gz").rpartition(".")[2], FORMATS["tsv"])
