"""Disturbances of a search: kills, signals, a full disk; and a check that it does not hang."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quick import WORKERS

PATIENCE = 120.0  # seconds without a report after which a search counts as hung
ENDED = {0, 1, 2, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP}
FILLER = "filler"


class Search:
    """A running driver, seen from outside."""

    def __init__(self, driver: "subprocess.Popen[bytes]", run_dir: Path):
        self.driver, self.run_dir = driver, run_dir

    @property
    def disk(self) -> Path:
        """The file system of the run directory."""
        return self.run_dir.parent

    def workers(self) -> list[int]:
        """Living processes that have trained."""
        file = self.run_dir / WORKERS
        recorded = set(map(int, file.read_text().split())) if file.exists() else set()
        return sorted(recorded & descendants(self.driver.pid).keys())

    def of_ray(self, name: str) -> list[int]:
        """Processes with a name in their command line."""
        return [pid for pid, command in descendants(self.driver.pid).items() if name in command]

    def has_ended(self) -> bool:
        return self.driver.poll() is not None

    def wait_for(self, event: Callable[[], bool]) -> None:
        """Wait until the event has come or the driver has ended. Raises AssertionError if the search hangs."""
        journal, seen, since = self.run_dir / "trials.jsonl", -1, time.monotonic()
        while not event() and not self.has_ended():
            size = journal.stat().st_size if journal.exists() else 0
            if size != seen:
                seen, since = size, time.monotonic()
            assert time.monotonic() - since < PATIENCE, f"no report for {PATIENCE:g} s"
            time.sleep(0.1)

    def end(self) -> None:
        """Wait until the driver ends. Raises AssertionError if it takes too long."""
        try:
            self.driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the driver has not ended in {PATIENCE:g} s") from None
        assert self.driver.returncode in ENDED, f"status {self.driver.returncode}"


def kill_worker(search: Search, rng: random.Random) -> None:
    _kill(search, [rng.choice(workers)] if (workers := search.workers()) else [])


def kill_ray(name: str) -> Callable[[Search, random.Random], None]:
    def kill(search: Search, rng: random.Random) -> None:
        _kill(search, search.of_ray(name))

    return kill


def send(number: signal.Signals) -> Callable[[Search, random.Random], None]:
    def send_it(search: Search, rng: random.Random) -> None:
        search.driver.send_signal(number)
        search.end()

    return send_it


def fill_disk(search: Search, rng: random.Random) -> None:
    """Fill the disk until the search ends, or needs no more space."""
    with (search.disk / FILLER).open("wb") as filler, suppress(OSError):
        while True:
            filler.write(bytes(2**16))
            filler.flush()
    search.end()
    (search.disk / FILLER).unlink()


DISTURBANCES: dict[str, Callable[[Search, random.Random], None]] = {
    "driver killed": send(signal.SIGKILL),
    "worker killed": kill_worker,
    "raylet killed": kill_ray("raylet/raylet"),
    "GCS killed": kill_ray("gcs/gcs_server"),
    "agent killed": kill_ray("runtime_env/agent/main.py"),
    "SIGTERM": send(signal.SIGTERM),
    "SIGHUP": send(signal.SIGHUP),
    "full disk": fill_disk,
}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB in the folder. Needs root."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def can_mount() -> bool:
    return sys.platform == "linux" and os.getuid() == 0


def descendants(pid: int) -> dict[int, str]:
    """All descendants of a process, with their command lines."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = dict[int, str](), [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            with suppress(OSError):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            waiting.append(child)
    return found


def _kill(search: Search, pids: list[int]) -> None:
    """Kill the processes, or the driver if there are none yet."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not pids:
        send(signal.SIGKILL)(search, random.Random())
