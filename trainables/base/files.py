"""Files: paths from users, reading, and writes that are complete or absent, and on disk when the call returns.

A synced file is only permanent when its folder is synced, too, and so is a new folder.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError


def full_path(name: str) -> Path:
    """The absolute path that a user named; a leading `~` or `~user` is a home folder, `./~` is not.

    Raises ValueError.
    """
    if "\0" in name:
        raise ValueError(f"{name!r}: a path can't hold a zero byte")
    path = Path(name)  # without a leading "./", so `~` would mean a home here, too
    try:
        return (path.expanduser() if name.startswith("~") else path).absolute()
    except RuntimeError:  # no such user
        raise ValueError(f"{name}: there is no user {name[1:].partition('/')[0]}; write ./{name} for a file") from None


def named_path(option: str, name: str) -> Path:
    """Like `full_path`, for an option of a command. Raises UserError."""
    try:
        return full_path(name)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from None


def read_bytes(file: Path, most: int | None = None) -> bytes:
    """The content of a file of at most `most` bytes.

    Raises OSError, also if it is not a regular file: a pipe would wait, and a device may have no end.
    """
    size = _size(file)
    if most is not None and size > most:
        raise OSError(0, f"has {size:,} bytes; at most {most:,} are allowed", str(file))
    return file.read_bytes()


def open_file(file: Path) -> BufferedReader:
    """The content of a file as a stream. Raises OSError like `read_bytes`."""
    _size(file)
    return file.open("rb")


def digest_of(file: Path) -> str:
    """SHA-256 of the content. Raises OSError like `read_bytes`."""
    with open_file(file) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _size(file: Path) -> int:
    facts = file.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(0, "is a folder" if stat.S_ISDIR(facts.st_mode) else "is not a regular file", str(file))
    return facts.st_size


def read_text(file: Path, most: int | None = None) -> str:
    """Like `read_bytes`, for UTF-8. Also raises UnicodeDecodeError."""
    return read_bytes(file, most).decode()


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def make_folder(folder: Path) -> None:
    """Create the folder and its parents if they do not exist. Raises UserError."""
    try:
        create_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be created: {error.strerror}; choose another output_dir") from None


def create_folder(folder: Path) -> None:
    """Create the folder and its parents if they do not exist, and sync them. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def sync(path: Path) -> None:
    """Sync the content of a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems on which folders need no sync and do not allow it
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Sync everything in the folder to disk."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            sync(path)


def publish_folder(draft: Path, final: Path) -> None:
    """Rename a draft folder to its final name, in place of a folder of that name."""
    sync_tree(draft)
    remove(final)
    draft.rename(final)
    sync(final.parent)


def unwritable(file: Path, error: BaseException) -> UserError:
    """The error for a failed write into a run: a full disk, a lost mount."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file}: can't be written: {reason}; nothing is lost: fix it (is the disk full?), then resume")


def append_line(file: Path, record: dict[str, Any]) -> None:
    """Append the record as a line of JSON, which stays whole if other processes append at the same time.

    An incomplete last line, left by a crash, is removed first. Raises OSError.
    """
    data = f"{json.dumps(record, ensure_ascii=False)}\n".encode()
    with file.open("ab", buffering=0) as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        out.truncate(file.read_bytes().rfind(b"\n") + 1)
        if out.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(out.fileno())
    sync(file.parent)


def write_atomically(file: Path, content: str | bytes | bytearray) -> None:
    """Replace the file by the content; a crash leaves the old one or the new one. Raises OSError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
        sync(file.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise OSError(error.errno, f"can't be written: {error.strerror}", str(file)) from None


def drafts(folder: Path) -> list[Path]:
    """The drafts of unfinished calls of `write_atomically` in a folder."""
    return [path for path in folder.glob(".*") if path.suffix[1:].isdigit() and path.is_file()]


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content, if it exists. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
