"""Files that are whole or absent."""

import json
import os
from pathlib import Path
from typing import Any

from trainables.errors import UserError


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are not there. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: can't be created: {error.strerror}; choose another output_dir") from None


def unwritable(file: Path, error: BaseException) -> UserError:
    """For a write into a run that failed: a full disk, a lost mount."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file}: can't be written: {reason}; nothing is lost: mend it (is the disk full?), then resume")


def append_line(file: Path, record: dict[str, Any]) -> None:
    """Append the record as a line of JSON, whole, whatever other processes append at the same time."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{json.dumps(record, ensure_ascii=False)}\n".encode())  # one write is one place in it
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(file: Path, content: str | bytes) -> None:
    """Replace the file by the content; a crash leaves the old one or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with draft.open("wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def sync_folder(folder: Path, below: bool = True) -> None:
    """Return when the folder, and all `below` it, is on disk. Raises OSError."""
    for place in [*(folder.rglob("*") if below else ()), folder]:
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            continue
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
