"""Temporary folders of this user on this machine.

They are always removed: those of a killed process when the next process asks for a folder.
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
    """Places for temporary folders, the best first: TMPDIR may be too long for the files there."""
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
    """Hold the folder in the block, so that no process takes it for abandoned, and remove it afterwards."""
    descriptor = hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def abandoned() -> list[Path]:
    """The temporary folders of dead processes."""
    own = [root / f"babeltune-{os.getuid()}" for root in roots()]
    return [folder for place in own for folder in place.glob(f"{PREFIX}*") if not is_held(folder)]


def hold(folder: Path) -> int:
    """Mark the folder as used by this process, until it closes the descriptor or ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether a living process uses the folder, as far as this can be known."""
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
    """Exclude other processes, which could take a folder for abandoned between its creation and `hold`."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
