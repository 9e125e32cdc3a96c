"""The files of checkpoints: a folder of a trial holds epoch-N or step-N, each with report.json and state.pt.

Imports no torch, as those who hand out trials look for checkpoints; what is in a state is known to
trainables/training/checkpoint.py.
"""

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from trainables.base.files import create_folder, digest_of, publish_folder, unwritable
from trainables.base.sealing import Damaged, read_sealed

KEEP = 2  # the newest, and the one before it in case the newest is torn
STATE, REPORT = "state.pt", "report.json"


def copy_checkpoint(source: Path, target: Path, number: int) -> None:
    """Copy the checkpoint of that number from one folder into another, where it must be the newest.

    Raises Damaged if it is missing or torn, UserError for a full disk.
    """
    found = newest_of(source, number)
    draft = target / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        create_folder(target)
        shutil.copytree(found[0], draft)
        publish_folder(draft, target / found[0].name)
    except OSError as error:  # shutil.Error, too
        raise unwritable(target, error) from error


def newest_of(folder: Path, number: int) -> tuple[Path, dict[str, Any]]:
    """The newest whole checkpoint and its report. Raises Damaged if it is not the one of that number."""
    found = newest_checkpoint(folder)
    if found is None or checkpoint_number(found[0].name) != number:
        raise Damaged(f"{folder}: its checkpoint {number} is missing or damaged; restore it from a copy")
    return found


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint and its report; None if there is none."""
    return next(_whole_checkpoints(folder), None)


def common_checkpoints(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The newest whole checkpoints, with their reports, that the folders have of one age; none if there are none."""
    for path in checkpoints_of(folders[0]) if folders else ():
        found = [whole for folder in folders if (whole := whole_checkpoint(folder / path.name))]
        if len(found) == len(folders):
            return found
    return []


def last_checkpoints(folder: Path, count: int) -> list[Path]:
    """The newest `count` whole checkpoints, or as many as there are, the newest first."""
    return [path for path, _ in islice(_whole_checkpoints(folder), count)]


def _whole_checkpoints(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All whole checkpoints of a folder and their reports, the newest first."""
    return filter(None, map(whole_checkpoint, checkpoints_of(folder)))


def whole_checkpoint(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint and its report; None if it is torn, or not there."""
    try:
        meta = read_sealed(path / REPORT)
        if "sha256" not in meta:  # of an earlier version, of which nothing more can be known than that it can be read
            with zipfile.ZipFile(path / STATE) as state:
                if state.testzip() is not None:
                    return None
        elif digest_of(path / STATE) != meta["sha256"]:
            return None
        return path, meta["report"]
    except (Damaged, OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def checkpoints_of(folder: Path) -> list[Path]:
    """All checkpoints of a folder, whole or torn, the newest first."""
    found = (path for path in folder.glob("*") if checkpoint_number(path.name) is not None)
    return sorted(found, key=lambda path: -(checkpoint_number(path.name) or 0))


def checkpoint_number(name: str) -> int | None:
    """The number in "epoch-3" or "step-3"; None for a name that is not a checkpoint's."""
    match = re.fullmatch(r"(?:epoch|step)-(\d+)", name)
    return int(match[1]) if match else None
