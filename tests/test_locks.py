"""One driver a run: where file locks fail, do nothing, or end at the machine."""

import errno
import fcntl
import os
import platform
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_run import COMMAND, ROOT

from trainables.base import holder, locks
from trainables.base.errors import UserError
from trainables.base.holder import Holder
from trainables.base.locks import DriverLock, check_locks, join_driver, locked

NO_LOCKS = """
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "no locks here")
fcntl.flock = flock
"""


def test_a_search_is_refused_where_locks_are_not_before_it_writes(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_LOCKS)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "COLUMNS": "500"}
    command = [*COMMAND, "--output_dir", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    said = f"{tmp_path / 'runs'}: file locks don't work there (no locks here), so two drivers could write one run"
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert list((tmp_path / "runs").iterdir()) == []


def raising(number: int) -> Callable[..., None]:
    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("flock", [raising(errno.ENOSYS), raising(errno.EOPNOTSUPP), raising(errno.EINVAL), print])
def test_every_user_of_locks_says_that_there_are_none(
    flock: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = DriverLock(tmp_path / "run")
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match=r"file locks don't work"):
        join_driver(lock.workers)
    lock.release()
    for use in (
        lambda: DriverLock(tmp_path / "run"),
        lambda: check_locks(tmp_path),
        locked(tmp_path / "lock").__enter__,
    ):
        with pytest.raises(UserError, match=r"file locks (don't work|exclude nobody)"):
            use()


def test_a_driver_keeps_others_out_until_it_ends_and_its_worker_joins(tmp_path: Path) -> None:
    first = DriverLock(tmp_path)
    with pytest.raises(UserError, match="another process is running this search"):
        DriverLock(tmp_path)
    joined = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from pathlib import Path\nfrom trainables.base.locks import join_driver\n"
            f"join_driver(Path({str(first.workers)!r}))",
        ],
        cwd=ROOT,
    )
    assert joined.returncode == 0
    first.release()
    second = DriverLock(tmp_path)
    assert second.incarnation == first.incarnation + 1
    with pytest.raises(RuntimeError, match="is gone"):
        join_driver(first.workers)
    second.release()


def test_each_of_many_drivers_has_a_number_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond nine, too, where numbers sort otherwise as text; and a worker of any keeps the next driver out."""
    for number in range(1, 13):
        lock = DriverLock(tmp_path)
        assert lock.incarnation == number and lock.workers.name == str(number)
        lock.release()
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    for number in (1, 9, 10, 12):
        with locked(tmp_path / "locks" / str(number)), pytest.raises(UserError, match="workers of an earlier driver"):
            DriverLock(tmp_path)
    lock = DriverLock(tmp_path)
    assert lock.incarnation == 13
    lock.release()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats that take no seconds; each thread is a machine."""
    for name, seconds in (("BEAT", 0.05), ("SILENT", 1.0)):
        monkeypatch.setattr(holder, f"{name}_SECONDS", seconds)
    monkeypatch.setattr(holder, "this_machine", lambda: threading.current_thread().name)


def on(machine: str, folder: Path, last: int) -> Holder | str:
    """The holder after the last one, on a machine that no lock reaches, or why there is none."""
    found: list[Holder | str] = []

    def run() -> None:
        try:
            found.append(Holder(folder, last))
        except UserError as error:
            found.append(str(error))

    thread = threading.Thread(target=run, name=machine)
    thread.start()
    thread.join()
    return found[0]


def test_a_driver_on_another_machine_is_seen_by_its_beats(quick: None, tmp_path: Path) -> None:
    first = on("a", tmp_path, 0)
    assert isinstance(first, Holder)
    said = on("b", tmp_path, 1)
    assert isinstance(said, str) and f"another process ({os.getpid()} on {platform.node()}) is running this" in said
    first._ended.set()  # it is killed
    began = time.monotonic()
    second = on("a", tmp_path, 1)
    assert isinstance(second, Holder) and time.monotonic() - began < 0.3, "its own machine's locks tell that it is dead"
    second._ended.set()  # it sleeps
    third = on("b", tmp_path, 2)
    assert isinstance(third, Holder) and not third.lost
    second._ended.clear()  # it wakes up
    assert second.lost
    with pytest.raises(UserError, match="another process has taken this search over"):
        second.check()
    second.release()
    third.release()
    began = time.monotonic()
    fourth = on("c", tmp_path, 3)
    assert isinstance(fourth, Holder) and time.monotonic() - began < 0.3, "the last one has ended"
    assert "has just taken" in str(on("d", tmp_path, 3))
    fourth.release()


def test_a_damaged_record_costs_a_wait(quick: None, tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"\0\0", b"[]", b'{"key": 1}')):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "1").write_bytes(content)
        found = on("a", folder, 1)
        assert isinstance(found, Holder)
        found.release()


def test_of_machines_that_compete_one_holds_the_run(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks reach as far as the machine. Some drivers end, some are killed, and some sleep until another took over."""
    machine_locks = {f"machine {number}": threading.Lock() for number in range(3)}
    awake: list[Holder] = []  # those that beat
    taken, both = [], []
    deadline = time.monotonic() + float(os.environ.get("HOLDER_SECONDS", "5"))

    def drive(seed: int) -> None:
        rng, name = random.Random(seed), threading.current_thread().name
        while time.monotonic() < deadline:
            with machine_locks[name]:
                try:
                    held = Holder(tmp_path, max((int(path.name) for path in tmp_path.iterdir()), default=0))
                except UserError:
                    continue
                both.extend(awake)
                awake.append(held)
                taken.append(name)
                time.sleep(rng.uniform(0, 0.3))
                awake.remove(held)
                if rng.random() < 0.5:
                    held.release()
                    continue
                held._ended.set()
                time.sleep(rng.choice([0, 1.5]))  # killed, or asleep
            time.sleep(rng.uniform(0, 0.2))

    drivers = [threading.Thread(target=drive, args=(number,), name=f"machine {number % 3}") for number in range(5)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert not both and len(set(taken)) > 1 and len(taken) > 2
