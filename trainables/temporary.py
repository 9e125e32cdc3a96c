"""Temporary folders of this user on this machine. They go however their process ends: those of a process that was
killed, as the next one asks for a folder."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainables.errors import UserError

PREFIX = "temporary-"


def user_folder() -> Path:
    """A folder that no other user can enter. Raises UserError."""
    folder = Path(tempfile.gettempdir()) / f"babeltune-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or not folder.is_dir():
        raise UserError(f"{folder}: belongs to another user; remove it, or set TMPDIR to a folder of your own")
    folder.chmod(0o700)
    return folder


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder, removed at the end of the block."""
    with _one_at_a_time():
        for folder in abandoned():
            shutil.rmtree(folder, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=user_folder()))
        held = hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def abandoned() -> list[Path]:
    """Temporary folders of processes that have died."""
    return [folder for folder in user_folder().glob(f"{PREFIX}*") if not is_held(folder)]


def hold(folder: Path) -> int:
    """Say that this process uses the folder, until it closes the descriptor or ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether a living process uses the folder, as far as can be known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """So that nobody takes a folder for abandoned between its making and its holding."""
    descriptor = os.open(user_folder(), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
