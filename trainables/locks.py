"""Who may write into a run directory: one driver, and the workers of that driver alone.

A driver holds `locks/driver` and has an incarnation number; each of its workers holds the lock of that
incarnation, shared, for life. A later driver takes all older incarnations' locks, which waits for their
last worker to die and keeps a late one from starting. The kernel releases the locks of a killed process.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trainables.errors import UserError
from trainables.files import make_folder

WAIT_SECONDS = 120  # an NFS server keeps the locks of a lost machine for its lease, 90 s by default

_joined: dict[Path, int] = {}  # held until this process ends


class DriverLock:
    """Held by the driver of a run until it ends."""

    def __init__(self, run_dir: Path):
        """Raises UserError if another driver runs here, or workers of an earlier one do not end."""
        folder = run_dir / "locks"
        make_folder(folder)
        self._held = [_open(folder / "driver")]
        if not _take(self._held[0], fcntl.LOCK_EX):
            raise UserError(f"{run_dir}: another process is running this search; wait for it, or stop it first")
        older = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        deadline = time.monotonic() + WAIT_SECONDS
        for path in older:
            self._held.append(_open(path))
            while not _take(self._held[-1], fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{run_dir}: workers of an earlier driver are still alive; end them, then try again"
                    )
                time.sleep(0.05)
        self.incarnation = int(older[-1].name) + 1 if older else 1
        self.workers = folder / str(self.incarnation)
        self.workers.touch()

    def release(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)


def join_driver(lock: Path) -> None:
    """Become a worker of the driver whose incarnation this file stands for. Raises RuntimeError if it is gone, and
    FileNotFoundError where this machine does not see the run directory."""
    if lock in _joined:
        return
    descriptor = os.open(lock, os.O_RDWR)
    if not _take(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        raise RuntimeError(f"the driver behind {lock} is gone")
    _joined[lock] = descriptor


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def left_alone(run_dir: Path) -> Iterator[bool]:
    """Whether nobody works in a run; then no driver begins to as long as the block runs, and no worker is left."""
    with ExitStack() as stack:
        yield _take_all(run_dir / "locks", stack)


def _take_all(folder: Path, stack: ExitStack) -> bool:
    try:
        make_folder(folder)
        for name in {"driver", *(path.name for path in folder.iterdir() if path.name.isdigit())}:
            descriptor = _open(folder / name)
            stack.callback(os.close, descriptor)
            if not _take(descriptor, fcntl.LOCK_EX):
                return False
    except (OSError, UserError):  # of another user, on a mount that is read-only: not ours to change
        return False
    return True
