"""A corpus made of text and a model's translations of it, as for back-translation (Sennrich et al. 2016).

Line i of the translations translates line i of the text. What was ended goes on where it stopped: text is translated
in stretches of so many lines, and those that are whole are kept.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.locks import locked
from trainables.base.sealing import read_sealed, write_sealed

MADE = "made.json"  # by which model, and how it decoded


@dataclass(frozen=True)
class Made:
    """How many lines the text has, and how many of them have no translation."""

    lines: int
    blank: int
    files: tuple[Path, Path]


def make_corpus(
    folder: Path,
    languages: tuple[str, str],
    by: dict[str, Any],
    stretches: Iterable[tuple[int, list[str]]],
    stretch: int,
    translate: Callable[[int, list[str]], list[str]],
) -> Made:
    """Write train.SOURCE, the text, and train.TARGET, its translations, or what they lack.

    Args:
        folder: Where they lie.
        languages: Source and target of the model, as the files are called.
        by: What makes the translations: a folder that has others is refused.
        stretches: The lines of the text, `stretch` at a time, with the number of the first, from 0.
        stretch: Lines of a stretch; the last may have fewer.
        translate: From such a stretch to its translations, blank where there is none.

    Raises:
        UserError: For a folder that holds something else, or the translations of another text.
    """
    files = folder / f"train.{languages[0]}", folder / f"train.{languages[1]}"
    make_folder(folder)
    with locked(folder / ".lock"):
        _claim(folder, files, by)
        done = min(map(_count_lines, files)) // stretch * stretch
        for file in files:
            _cut(file, done)
        return _go_on(files, done, stretches, translate)


def _claim(folder: Path, files: tuple[Path, Path], by: dict[str, Any]) -> None:
    """Raises UserError for a folder that has other files, or translations by something else."""
    if (folder / MADE).is_file():
        if read_sealed(folder / MADE) != by:
            raise UserError(
                f"--to_corpus: {folder} was made by another model, decoding or tag ({MADE}); name another folder"
            )
    elif found := [file.name for file in files if file.exists()]:
        raise UserError(f"--to_corpus: {folder} has a {found[0]} that is not from here; name another folder")
    else:
        write_sealed(folder / MADE, by)
    for file in files:
        file.touch()


def _go_on(
    files: tuple[Path, Path],
    done: int,
    stretches: Iterable[tuple[int, list[str]]],
    translate: Callable[[int, list[str]], list[str]],
) -> Made:
    lines = blank = 0
    with (
        files[0].open("rb") as text,
        files[1].open("rb") as translated,
        files[0].open("ab") as more_text,
        files[1].open("ab") as more_translated,
    ):
        for first, wanted in stretches:
            if first < done:
                kept, made = (
                    [line.decode().removesuffix("\n") for line in islice(file, len(wanted))]
                    for file in (text, translated)
                )
                if kept != wanted:
                    raise UserError(
                        f"--to_corpus: {files[0]} is of another text than standard input, somewhere in lines "
                        f"{first + 1:,} to {first + len(wanted):,}; name another folder"
                    )
            else:
                made = translate(first, wanted)
                _append(more_text, wanted)
                _append(more_translated, made)
            lines += len(wanted)
            blank += made.count("")
    if lines < done:
        raise UserError(
            f"--to_corpus: {files[0]} has more lines than standard input, {lines:,}; give all of the text, or name "
            "another folder"
        )
    return Made(lines, blank, files)


def _append(file: BinaryIO, lines: list[str]) -> None:
    file.write("".join(f"{line}\n" for line in lines).encode())
    file.flush()
    os.fsync(file.fileno())


def _count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(line.endswith(b"\n") for line in lines)


def _cut(file: Path, lines: int) -> None:
    """Keep so many lines."""
    with file.open("rb") as source:
        size = sum(map(len, islice(source, lines)))
    os.truncate(file, size)
