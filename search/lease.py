"""One driver a run, where the run lies in an object store, which has no locks: the driver shows that it lives."""

import json
import os
import platform
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainables.errors import StorageFails, UserError
from trainables.files import write_atomically
from trainables.storage import DRIVER, Storage

BEAT_SECONDS = 2.0
SILENT_SECONDS = 12.0  # after which a driver counts as lost


class Lease:
    """The object `driver.json` of the run: its driver writes it anew every few seconds, with its key.

    Whether another driver lives is seen by its beats, not by clocks, which differ between machines. Two drivers that
    start in the same moment both write it; the one that then reads the other's key ends. So a driver that was cut off
    may go on until its next beat that gets through, but its workers and itself look at the object before they write.
    """

    def __init__(self, storage: Storage, run_dir: Path):
        self.storage, self._mine = storage, run_dir / "locks" / "storage"
        self._beats, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> bool:
        """Become the driver; whether the driver before worked in this very run directory, which then holds all it did.

        The directory's own lock must be held. Raises UserError if another driver lives.
        """
        content = self.storage.run.read(DRIVER)
        before: dict[str, Any] = json.loads(content) if content else {"key": None, "ended": True}
        here = self._mine.exists() and before["key"] in self._mine.read_text().split()
        if here:
            write_atomically(self._mine, f"{before['key']} {self.storage.driver}")  # whichever stays, if it dies now
        elif not before["ended"]:
            self._refuse_if_alive(content, before)
        if content is None:
            self.storage.run.create(DRIVER, self._record(ended=False))
            self.storage.check_driver()  # another may have been first
        else:
            self.storage.run.write(DRIVER, self._record(ended=False))
        self._thread.start()
        return here

    def own(self) -> None:
        """From now on the run directory holds what this driver does."""
        write_atomically(self._mine, self.storage.driver)

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(StorageFails):  # then another waits a little
            self.storage.check_driver()
            self.storage.run.write(DRIVER, self._record(ended=True))

    def _refuse_if_alive(self, content: bytes | None, driver: dict[str, Any]) -> None:
        deadline = time.monotonic() + SILENT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(1)
            if self.storage.run.read(DRIVER) != content:
                raise UserError(
                    f"{self.storage.url}: process {driver['pid']} on {driver['host']} is running this search; wait for "
                    "it, or stop it first"
                )

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(StorageFails):  # unreachable; or taken over, which is told before the next thing is sent
                self.storage.check_driver()
                self.storage.run.write(DRIVER, self._record(ended=False))

    def _record(self, ended: bool) -> bytes:
        self._beats += 1
        record = {"key": self.storage.driver, "host": platform.node(), "pid": os.getpid(), "beat": self._beats}
        return json.dumps({**record, "ended": ended}).encode()
