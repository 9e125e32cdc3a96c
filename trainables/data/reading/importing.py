"""A corpus in whatever form, written as plain files of one sentence a line."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trainables.base.data_config import PHRASEBOOK, DataConfig
from trainables.base.errors import UserError
from trainables.base.files import create_folder, publish_folder, remove
from trainables.data.reading.finding import NoSuchSplit, find_layout
from trainables.data.reading.pairs import read_fit

NAMES = ("train", "valid", "test")


@dataclass
class Imported:
    """One split that was written, and what was not written as it was."""

    name: str
    pairs: int = 0
    noted: dict[str, tuple[int, str]] = field(
        default_factory=dict
    )  # what, with its number of pairs and the first place

    def note(self, what: str, place: str) -> None:
        """Count a pair."""
        count, first = self.noted.get(what, (0, place))
        self.noted[what] = (count + 1, first)


def import_corpus(config: DataConfig, folder: Path) -> list[Imported]:
    """Write train, valid and test, as far as there are such splits, as plain files; all of them or nothing.

    Files are called as train.en and train.fr, by the codes of the configuration. A corpus without splits is training
    text, where `data.split` does not say otherwise. Raises UserError for what can't be read or written.
    """
    if config.path == PHRASEBOOK:
        raise UserError(f"import: {PHRASEBOOK} is embedded in the program; name a folder, an archive or a file")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"import: {folder} is there already, and is not empty; name a folder that is not there")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        create_folder(draft)
        written = list(_write_splits(config, draft))
        publish_folder(draft, folder)
    except OSError as error:
        raise UserError(f"import: {folder}: can't be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            remove(draft)
    return written


def _write_splits(config: DataConfig, folder: Path) -> Iterator[Imported]:
    for name, split in zip(("train", "valid", *config.tests), config.splits, strict=True):
        try:
            find_layout(config, split, alone=split == config.train)
        except NoSuchSplit:
            if split == config.train:
                raise
            continue
        yield _write_split(config, split, Imported(name), folder)


def _write_split(config: DataConfig, split: str, imported: Imported, folder: Path) -> Imported:
    files = [folder / f"{imported.name}.{language}" for language in (config.source, config.target)]
    with (
        files[0].open("w", encoding="utf-8", newline="\n") as source,
        files[1].open("w", encoding="utf-8", newline="\n") as target,
    ):
        for first, second in read_fit(config, split, imported.note):
            source.write(f"{first}\n")
            target.write(f"{second}\n")
            imported.pairs += 1
    for reference in find_layout(config, split, alone=split == config.train).references:
        imported.note("with a further reference, which is not written: copy its file", str(reference))
    return imported
