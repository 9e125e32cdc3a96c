"""Files that are whole or absent, and on disk when the call returns: a loss of power takes nothing back.

A file that is synced is in its folder for good only when that folder is synced, too, and so is each new folder.
"""

import errno
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

from trainables.errors import UserError


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are not there. Raises UserError."""
    try:
        create_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be created: {error.strerror}; choose another output_dir") from None


def create_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are not there. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def sync(path: Path) -> None:
    """Have on disk what a file contains, or which files a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems where folders need no sync, and allow none
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have on disk all that lies in the folder."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def publish_folder(draft: Path, final: Path) -> None:
    """Give a folder, written beside, its name, in place of what has the name."""
    sync_tree(draft)
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    sync(final.parent)


def unwritable(file: Path, error: BaseException) -> UserError:
    """For a write into a run that failed: a full disk, a lost mount."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file}: can't be written: {reason}; nothing is lost: mend it (is the disk full?), then resume")


def append_line(file: Path, record: dict[str, Any]) -> None:
    """Append the record as a line of JSON, whole, whatever other processes append at the same time.

    A last line that a crash has torn is cut off first. Raises OSError.
    """
    data = f"{json.dumps(record, ensure_ascii=False)}\n".encode()
    with file.open("ab", buffering=0) as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        out.truncate(file.read_bytes().rfind(b"\n") + 1)
        if out.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(out.fileno())
    sync(file.parent)


def write_atomically(file: Path, content: str | bytes) -> None:
    """Replace the file by the content; a crash leaves the old one or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with draft.open("wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    sync(file.parent)
