"""The driver of a run directory as other machines see it, for file systems whose locks work on one machine only."""

import json
import os
import platform
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError
from trainables.base.files import parse_json, read_bytes

BEAT_SECONDS = 2.0
SILENT_SECONDS = 12.0  # after these, a driver counts as lost


class Holder:
    """The file `locks/N` of a driver's incarnation N, created by one driver only and written every few seconds.

    The driver that creates the file of the next incarnation has taken over. Before that it waits until the last driver
    has ended. On the same machine, a free lock shows this; on another one, whose locks may not work here (Lustre's
    localflock, BeeGFS, most FUSE file systems), a file that was not written for SILENT_SECONDS.
    """

    def __init__(self, folder: Path, last: int):
        """The lock of the directory must be held. last: the earlier incarnation, 0 if there was none.

        Raises UserError if a driver is alive on another machine.
        """
        self.folder, self.file, self._next = folder, folder / str(last + 1), folder / str(last + 2)
        self._machine, self._beats, self._ended = this_machine(), 0, threading.Event()
        if last:
            self._await_end(folder / str(last))
        try:
            os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            raise self._other("has just taken this search over; wait for it") from None
        self._write()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another driver has taken over because this one was silent for too long."""
        with suppress(OSError):
            return self._next.exists()
        return False

    def check(self) -> None:
        """Raises UserError if another driver has taken over."""
        if self.lost:
            raise self._other("has taken this search over")

    def release(self) -> None:
        """Stop writing, and record that the driver has ended."""
        self._ended.set()
        self._thread.join(BEAT_SECONDS)  # a mount may block
        with suppress(OSError):  # then a driver on another machine waits a little longer
            self._write(ended=True)

    def _await_end(self, file: Path) -> None:
        content = file.read_bytes()
        known = _read(content)
        if known.get("ended") or known.get("machine") == self._machine:
            return
        deadline = time.monotonic() + SILENT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(min(1.0, SILENT_SECONDS / 10))
            if (newer := file.read_bytes()) != content:
                known = _read(newer) or known
                raise self._other(
                    f"({known.get('pid')} on {known.get('host')}) is running this search on another machine, whose "
                    "file locks don't work here; wait for it, or stop it first"
                )

    def _other(self, does: str) -> UserError:
        return UserError(f"{self.folder.parent}: another process {does}")

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # a full disk is reported by more important writes
                self._write()

    def _write(self, ended: bool = False) -> None:
        """Write in place, as other machines see that sooner than a renamed file."""
        self._beats += 1
        record = {"host": platform.node(), "pid": os.getpid(), "machine": self._machine, "beat": self._beats}
        content = json.dumps({**record, "ended": ended}).encode()
        descriptor = os.open(self.file, os.O_WRONLY)
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        finally:
            os.close(descriptor)


def _read(content: bytes) -> dict[str, Any]:
    """The content; empty if it is damaged, just being written, or of version 0.1, which wrote nothing."""
    try:
        record = parse_json(content)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


@cache
def this_machine() -> str:
    """An id of this machine since its last boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return platform.node()


def is_driven(run_dir: Path) -> bool:
    """Whether a driver works in a run directory, on this machine or another one, by its heartbeats."""
    files = [file for file in (run_dir / "locks").glob("*") if file.name.isdigit()]
    try:
        newest = max(files, key=lambda file: int(file.name))
        silent = time.time() - newest.stat().st_mtime
        return silent < SILENT_SECONDS and not _read(read_bytes(newest)).get("ended")
    except (ValueError, OSError):  # there is none
        return False
