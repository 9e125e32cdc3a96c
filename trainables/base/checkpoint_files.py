"""The files of checkpoints: a folder of a trial has epoch-N, step-N or token-N, each with report.json and state.pt.

A command (trainables/command) has files of its own in place of state.pt. Imports no torch, as the driver looks for
checkpoints; trainables/training/checkpoint.py reads and writes the states.
"""

import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from trainables.base.files import create_folder, digest_of, publish_folder, unwritable
from trainables.base.sealing import Damaged, read_sealed, sealed

KEEP = 2  # the newest, and the one before it in case the newest is incomplete
STATE, REPORT = "state.pt", "report.json"


def new_draft(folder: Path) -> Path:
    """An empty folder for the files of the next checkpoint. Raises OSError."""
    draft = folder / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    create_folder(draft)
    return draft


def publish_checkpoint(draft: Path, name: str, content: Mapping[str, Any], keep: int = KEEP) -> None:
    """Give a draft its report and its name, such as epoch-3, and keep the last `keep` checkpoints. Raises OSError.

    content: digests of its files, and `report`.
    """
    unit, _, number = name.partition("-")
    with (draft / REPORT).open("w") as file:
        json.dump(sealed({unit: int(number), **content}), file)
    folder = draft.parent
    publish_folder(draft, folder / name)  # an existing one is incomplete: training continues after a complete one
    for old in checkpoints_of(folder)[max(KEEP, keep) :]:
        shutil.rmtree(old, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path, number: int) -> None:
    """Copy the newest checkpoint of a folder, which must have that number, into another folder.

    Raises Damaged if it is missing or incomplete, UserError for a full disk.
    """
    found = newest_of(source, number)
    draft = target / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        create_folder(target)
        shutil.copytree(found[0], draft)
        publish_folder(draft, target / found[0].name)
    except OSError as error:  # or shutil.Error, a subclass
        raise unwritable(target, error) from error


def newest_of(folder: Path, number: int) -> tuple[Path, dict[str, Any]]:
    """The newest complete checkpoint and its report. Raises Damaged if it does not have that number."""
    found = newest_checkpoint(folder)
    if found is None or checkpoint_number(found[0].name) != number:
        raise Damaged(f"{folder}: its checkpoint {number} is missing or damaged; restore it from a copy")
    return found


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint and its report; None if there is none."""
    return next(_whole_checkpoints(folder), None)


def common_checkpoints(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The newest complete checkpoints of the same number in all folders, with their reports; empty if none."""
    for path in checkpoints_of(folders[0]) if folders else ():
        found = [whole for folder in folders if (whole := whole_checkpoint(folder / path.name))]
        if len(found) == len(folders):
            return found
    return []


def last_checkpoints(folder: Path, count: int) -> list[Path]:
    """The newest `count` complete checkpoints, or as many as there are, the newest first."""
    return [path for path, _ in islice(_whole_checkpoints(folder), count)]


def _whole_checkpoints(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All complete checkpoints of a folder and their reports, the newest first."""
    return filter(None, map(whole_checkpoint, checkpoints_of(folder)))


def whole_checkpoint(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint and its report; None if it is incomplete or missing."""
    try:
        meta = read_sealed(path / REPORT)
        if "files" in meta:  # of a command
            if any(digest_of(path / name) != digest for name, digest in meta["files"].items()):
                return None
        elif "sha256" not in meta:  # of an earlier version: without a checksum, it can only be read
            with zipfile.ZipFile(path / STATE) as state:
                if state.testzip() is not None:
                    return None
        elif digest_of(path / STATE) != meta["sha256"]:
            return None
        return path, meta["report"]
    except (Damaged, OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def checkpoints_of(folder: Path) -> list[Path]:
    """All checkpoints of a folder, complete or not, the newest first."""
    found = (path for path in folder.glob("*") if checkpoint_number(path.name) is not None)
    return sorted(found, key=lambda path: -(checkpoint_number(path.name) or 0))


def checkpoint_number(name: str) -> int | None:
    """The number in "epoch-3", "step-3" or "token-3"; None for other names."""
    match = re.fullmatch(r"(?:epoch|step|token)-(\d+)", name)
    return int(match[1]) if match else None
