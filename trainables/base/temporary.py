"""Temporary folders of this user on this machine.

They go however their process ends: those of a process that was killed, as the next one asks for a folder.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from trainables.base.errors import UserError

PREFIX = "t-"


def roots() -> list[Path]:
    """Where temporary folders may lie, the best first: a TMPDIR may be too long for what is to lie there."""
    places = dict.fromkeys(map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")))
    return [place for place in places if place.is_dir()]


def user_folder(root: Path | None = None) -> Path:
    """A folder that no other user can enter, by default in TMPDIR. Raises UserError."""
    folder = (root or Path(tempfile.gettempdir())) / f"babeltune-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or not folder.is_dir():
        raise UserError(f"{folder}: belongs to another user; remove it, or set TMPDIR to a folder of your own")
    folder.chmod(0o700)
    return folder


@contextmanager
def temporary_folder(root: Path | None = None) -> Iterator[Path]:
    """An empty folder that no other user can enter, removed at the end of the block; by default in TMPDIR."""
    with _one_at_a_time(user_folder(root)):
        for folder in abandoned():
            shutil.rmtree(folder, ignore_errors=True)
        stack = ExitStack()
        folder = stack.enter_context(held(Path(tempfile.mkdtemp(prefix=PREFIX, dir=user_folder(root)))))
    with stack:
        yield folder


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """The folder, which nobody takes for abandoned in the block, and which is removed after it."""
    descriptor = hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def abandoned() -> list[Path]:
    """Temporary folders of processes that have died."""
    own = [root / f"babeltune-{os.getuid()}" for root in roots()]
    return [folder for place in own for folder in place.glob(f"{PREFIX}*") if not is_held(folder)]


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
def _one_at_a_time(place: Path) -> Iterator[None]:
    """So that nobody takes a folder for abandoned between its making and its holding."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
