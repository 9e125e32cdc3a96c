"""Ensures that a run in an object store, which has no locks, has one driver: the driver shows that it is alive."""

import json
import os
import platform
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainables.base.errors import StorageFails, UserError
from trainables.base.files import read_text, write_atomically
from trainables.sharing.object_store import Version
from trainables.sharing.storage import DRIVER, Storage

BEAT_SECONDS = 2.0
HOLD_SECONDS = 8.0  # after its last beat a driver no longer relies on the lease; others wait longer
SILENT_SECONDS = 12.0  # after which a driver counts as lost


class Lease:
    """The object `driver.json` of the run, which its driver writes again every few seconds (a beat).

    It is only taken by conditional writes (create if absent, replace if unchanged), so one of two competing drivers
    gets it. Drivers notice each other by beats, not by clocks, which differ between machines. A driver takes over when
    it has seen no new beat for SILENT_SECONDS. The holder relies on the lease for HOLD_SECONDS, which is less, counted
    from when it sent the last beat that arrived. So two drivers never rely on it at once, however late a write arrives.

    `whole` is the key of the driver below which the whole run is. A driver that was lost before it had sent everything
    that it took over is never in `whole`, so no driver continues from half a run.
    """

    def __init__(self, storage: Storage, run_dir: Path):
        self.storage, self._mine = storage, run_dir / "locks" / "storage"
        self.whole: str | None = None  # None until something was sent
        self._version: Version | None = None
        self._beats, self._sent_at = 0, -float("inf")
        self._writing, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> bool:
        """Become the driver. Returns whether the run directory has the whole run, as the last driver worked in it.

        The lock of the run directory must be held. Raises UserError if another driver is alive.
        """
        known = self.storage.root.read_version(DRIVER)
        record: dict[str, Any] = json.loads(known.content) if known else {"key": None, "ended": True, "whole": None}
        mine = read_text(self._mine).split() if self._mine.exists() else []
        if "whole" not in record:
            raise UserError(
                f"{self.storage.url}: was stored by version 0.1, which can resume it; this version can only translate "
                "with it, replay it and publish it"
            )
        ended_here = record["key"] in mine and record["host"] == platform.node()  # otherwise its lock would be held
        if known and not record["ended"] and not ended_here:
            self._wait_for_silence(known, record)
        self.whole = record["whole"]
        here = self.whole is None or self.whole in mine
        if here:
            self._own(*mine, self.storage.driver)  # either, if this driver dies now
        begun, content, root = time.monotonic(), self._record(ended=False), self.storage.root
        self._version = root.replace(DRIVER, known, content) if known else root.create(DRIVER, content)
        if self._version is None and not self._is_ours():
            raise UserError(f"{self.storage.url}: another process has just taken this search over; wait for it")
        self._sent_at = begun
        self._thread.start()
        return here

    def commit(self) -> None:
        """Make what this driver has sent, and its run directory, the present run. Raises StorageFails."""
        self.adopt()
        self.whole = self.storage.driver
        self._renew(ended=False)
        self.check()
        self._own(self.storage.driver)

    def adopt(self) -> None:
        """Note that the run directory has the whole run that was taken over."""
        self._own(*filter(None, (self.whole, self.storage.driver)))

    @property
    def held(self) -> bool:
        """Whether no other driver can have taken over yet."""
        return time.monotonic() < self._sent_at + HOLD_SECONDS

    def check(self) -> None:
        """Raises StorageFails unless this driver holds the lease; after a gap in its beats it first renews it."""
        if not self.held:
            self._renew(ended=False)
        if not self.held:
            raise StorageFails(f"storage: {self.storage.url}: another driver has taken this search over")

    def release(self) -> None:
        """Stop the beats, and allow another driver to take the search at once."""
        self._ended.set()
        self._thread.join()
        with suppress(StorageFails):  # then another driver has to wait
            self._renew(ended=True)

    def _wait_for_silence(self, known: Version, driver: dict[str, Any]) -> None:
        deadline = time.monotonic() + SILENT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(min(1.0, SILENT_SECONDS / 10))
            version = self.storage.root.read_version(DRIVER)
            if version is None or version.content != known.content:
                raise UserError(
                    f"{self.storage.url}: process {driver['pid']} on {driver['host']} is running this search; wait for "
                    "it, or stop it first"
                )

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(StorageFails):  # unreachable; or taken over, which `check` reports before the next send
                self._renew(ended=False)

    def _renew(self, ended: bool) -> None:
        """Write the lease again; its time counts from before the write was sent. Raises StorageFails."""
        with self._writing:
            for _ in range(2):  # if an answer was lost, the object has a version that we wrote but do not know
                begun = -float("inf") if ended else time.monotonic()
                self._sent_at = min(self._sent_at, begun)
                if self._version is None and not self._is_ours():
                    break
                assert self._version
                known, self._version = self._version, None
                self._version = self.storage.root.replace(DRIVER, known, self._record(ended))
                if self._version:
                    self._sent_at = begun
                    return
            raise StorageFails(f"storage: {self.storage.url}: another driver has taken this search over")

    def _is_ours(self) -> bool:
        """Whether this driver wrote the present version of the object, which is then known."""
        version = self.storage.root.read_version(DRIVER)
        ours = version is not None and json.loads(version.content)["key"] == self.storage.driver
        self._version = version if ours else None
        return ours

    def _own(self, *drivers: str) -> None:
        """Note the drivers' runs that the run directory has completely."""
        write_atomically(self._mine, " ".join(drivers))

    def _record(self, ended: bool) -> bytes:
        self._beats += 1
        record = {"key": self.storage.driver, "host": platform.node(), "pid": os.getpid(), "beat": self._beats}
        return json.dumps({**record, "ended": ended, "whole": self.whole}).encode()
