"""One driver a run in an object store: drivers that compete, pause and die, over a network that delivers late."""

import os
import random
import threading
import time
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest
from object_store import BUCKET, object_store

from search.remote import lease as lease_module
from search.remote.lease import Lease
from trainables.base.errors import StorageFails, UserError
from trainables.sharing.storage import Storage, find_place, new_driver

ROUNDS = int(os.environ.get("LEASE_ROUNDS", "12"))  # `make test-lease` plays 200
LATE, SECONDS = "0.3", "1.0"  # of the server's writes, and how late they are at most


@dataclass
class Contest:
    """Drivers that compete for one run, and what was seen of them."""

    url: str
    folder: Path
    leases: list[Lease] = field(default_factory=list)  # of all drivers that took the run, dead ones too
    holders: list[str] = field(default_factory=list)  # who was seen to count on it, in the order of time
    ended: threading.Event = field(default_factory=threading.Event)

    def drive(self, seed: int) -> None:
        """Take the run again and again, each time as another driver on another machine, until all rounds are played."""
        rng = random.Random(seed)
        while len(self.leases) < ROUNDS:
            run_dir = self.folder / f"{seed}-{rng.random()}"
            (run_dir / "locks").mkdir(parents=True)
            lease = Lease(Storage(self.url, new_driver(), ""), run_dir)
            try:
                lease.take()
            except UserError:  # another holds it, has just taken it, or the network lost the answer
                time.sleep(rng.uniform(0, 0.1))
                continue
            self.leases.append(lease)
            try:
                self._work(lease, rng)
            except StorageFails:  # another has taken over
                lease._ended.set()

    def _work(self, lease: Lease, rng: random.Random) -> None:
        lease.storage.run.write("study.db", lease.storage.driver.encode())
        lease.commit()
        time.sleep(rng.uniform(0, 1.5 * lease_module.HOLD_SECONDS))
        match rng.choice(["ends", "dies", "sleeps"]):
            case "ends":
                lease.release()
            case "dies":
                lease._ended.set()  # its last beat may still be on its way
            case "sleeps":
                lease._ended.set()
                time.sleep(rng.uniform(0, 2 * lease_module.SILENT_SECONDS))
                lease.storage.run.write("study.db", lease.storage.driver.encode())  # it can't know yet
                lease.check()

    def watch(self) -> None:
        while not self.ended.is_set():
            self.holders += [lease.storage.driver for lease in self.leases if lease.held]
            time.sleep(0.002)


def test_two_drivers_never_hold_one_run_and_never_write_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT", 0.1), ("HOLD", 0.4), ("SILENT", 0.6)):
        monkeypatch.setattr(lease_module, f"{name}_SECONDS", seconds)
    with object_store("127.0.0.1", "--late", LATE, "--seconds", SECONDS) as reach:
        for variable, value in reach.items():
            monkeypatch.setenv(variable, value)
        contest = Contest(f"s3://{BUCKET}/runs/contended", tmp_path)
        drivers = [threading.Thread(target=contest.drive, args=(seed,)) for seed in range(3)]
        watcher = threading.Thread(target=contest.watch)
        for thread in (watcher, *drivers):
            thread.start()
        written = set()
        while any(driver.is_alive() for driver in drivers):
            if place := find_place(contest.url):
                written.add((place.url.rpartition("/")[2], (place.read("study.db") or b"").decode()))
        contest.ended.set()
        watcher.join()
    turns = [driver for driver, _ in groupby(contest.holders)]
    assert len(turns) == len(set(turns)), "one held the run again after another had"
    assert len(contest.leases) >= ROUNDS and len(turns) >= ROUNDS // 2
    assert len(written) >= ROUNDS // 4 and all(place == content for place, content in written), "one wrote another's"
