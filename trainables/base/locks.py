"""Which processes may write into a run directory: one driver, and only its workers.

A driver holds `locks/driver` and has an incarnation number; each of its workers holds the lock of that incarnation,
shared, as long as it lives. A later driver takes the locks of all older incarnations: it waits for their last worker to
end, and no late worker can start. The kernel releases the locks of a killed process.

Some file systems refuse locks, some grant every lock, and on some they only work within one machine. The first two are
refused here. On the third, a worker on another machine is refused (`join_driver`), and another driver waits for
heartbeats (`holder.py`).
"""

import errno
import fcntl
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.holder import Holder

WAIT_SECONDS = 120  # an NFS server keeps the locks of a lost machine for a lease of 90 s by default
PASSING_SECONDS = 1.0  # a starting worker may hold the driver's lock for a moment
CURE = (
    "so two drivers could write one run; choose an output_dir on a local disk, or on a file system with flock (NFS 4, "
    "or Lustre mounted with -o flock)"
)

_joined: dict[Path, int] = {}  # held until this process ends


class DriverLock:
    """The lock that the driver of a run holds until it ends."""

    def __init__(self, run_dir: Path):
        """Raises UserError if another driver is running, workers of an earlier one do not end, or locks don't work."""
        folder = run_dir / "locks"
        make_folder(folder)
        self._held: list[int] = []
        try:
            last = self._take_all(run_dir, folder)
            self._holder = Holder(folder, last)
        except BaseException:
            self._let_go()
            raise

        self.incarnation, self.workers = last + 1, self._holder.file

    def _take_all(self, run_dir: Path, folder: Path) -> int:
        """Take all locks; returns the earlier incarnation, 0 if there was none."""
        self._held.append(_open(folder / "driver"))
        if not _take_within(PASSING_SECONDS, self._held[0], folder):
            raise UserError(f"{run_dir}: another process is running this search; wait for it, or stop it first")
        _check_exclusion(folder / "driver")
        older = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        deadline = time.monotonic() + WAIT_SECONDS
        for path in older:
            self._held.append(_open(path))
            if not _take_within(deadline - time.monotonic(), self._held[-1], folder):
                raise UserError(f"{run_dir}: workers of an earlier driver are still alive; end them, then try again")
        return int(older[-1].name) if older else 0

    @property
    def lost(self) -> bool:
        """Whether another driver has taken over from a machine whose locks do not work here."""
        return self._holder.lost

    def check(self) -> None:
        """Raises UserError if another driver has taken over."""
        self._holder.check()

    def release(self) -> None:
        """Release the lock for another driver."""
        self._holder.release()
        self._let_go()

    def _let_go(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)


def join_driver(lock: Path) -> None:
    """Become a worker of the driver with this lock file.

    Raises RuntimeError if the driver has ended, FileNotFoundError if this machine does not see the run directory, and
    UserError if locks do not work between the machines.
    """
    if lock in _joined:
        return
    descriptor = os.open(lock, os.O_RDWR)
    try:
        if not _take(descriptor, fcntl.LOCK_SH, lock.parent):
            raise RuntimeError(f"the driver behind {lock} is gone")
        if not is_held(lock.with_name("driver")):
            raise UserError(
                f"{lock.parent}: file locks don't work on node {platform.node()}, or the driver has ended; use a file "
                "system with flock across nodes, such as NFS 4, or name an object store as storage"
            )
    except BaseException:
        os.close(descriptor)
        raise
    _joined[lock] = descriptor


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file in the block; waits for it, and creates the file if needed.

    Raises UserError if locks don't work, and OSError.
    """
    descriptor = _open(file)
    try:
        _take(descriptor, fcntl.LOCK_EX, file.parent, wait=True)
        _check_exclusion(file)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def handed_on(file: Path, seconds: float) -> Iterator[tuple[int, ...]]:
    """Hold the lock of a file in the block, to hand it to a process that may live longer than this one.

    Yields the descriptors of this lock and of the drivers' locks that this process has joined. A process that inherits
    them excludes a new training of the same trial, and a later driver, until it ends.

    Raises UserError if the lock is not free within `seconds`, and OSError.
    """
    descriptor = _open(file)
    try:
        if not _take_within(seconds, descriptor, file.parent):
            raise UserError(f"{file.parent}: a process of an earlier training is still alive; end it, then resume")
        yield descriptor, *_joined.values()
    finally:
        os.close(descriptor)


def check_locks(folder: Path) -> None:
    """Raises UserError if locks exclude nobody, as far as one machine can find out."""
    make_folder(folder)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".lock-") as file, locked(Path(file.name)):
        pass


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _take(descriptor: int, kind: int, folder: Path, wait: bool = False) -> bool:
    """Try to take the lock; whether it was free. Raises UserError if locks don't work."""
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise UserError(f"{folder}: file locks don't work there ({error.strerror}), {CURE}") from None
    return True


def _take_within(seconds: float, descriptor: int, folder: Path) -> bool:
    deadline = time.monotonic() + seconds
    while not _take(descriptor, fcntl.LOCK_EX, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file.

    Raises OSError if there is no such file, and UserError if locks don't work.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not _take(descriptor, fcntl.LOCK_SH, path.parent)
    finally:
        os.close(descriptor)


def _check_exclusion(path: Path) -> None:
    """Raises UserError if the lock of the path, which must be held, can be taken a second time."""
    if not is_held(path):
        raise UserError(f"{path.parent}: file locks exclude nobody there, {CURE}")


@contextmanager
def left_alone(run_dir: Path) -> Iterator[bool]:
    """Whether no process works in a run; if so, no driver can start in the block, and no worker is left."""
    with ExitStack() as stack:
        yield _take_everything(run_dir / "locks", stack)


def _take_everything(folder: Path, stack: ExitStack) -> bool:
    try:
        make_folder(folder)
        for name in {"driver", *(path.name for path in folder.iterdir() if path.name.isdigit())}:
            descriptor = _open(folder / name)
            stack.callback(os.close, descriptor)
            if not _take(descriptor, fcntl.LOCK_EX, folder):
                return False
    except (OSError, UserError):  # another user's, on a read-only mount: it can't be changed from here
        return False
    return True
