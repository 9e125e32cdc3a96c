"""The run directory's copy in the storage of a search: kept up to date by the driver, and fetched on another head.

Checkpoints lie in the storage alone. All else is written in the run directory first, and sent here: before anybody
relies on it, and otherwise every few seconds. So what a lost head takes with it are some seconds of reports, and of
decisions that follow from them. All numbers follow from configuration and seed, and every trial that anybody trains was
sent when it was made, so that going back to those seconds, or a trial to an older checkpoint, leads to the same again.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from search.remote.fetching import (
    FETCHED,
    JOURNALS,
    STUDY,
    belongs_to_driver,
    fetch_files,
    gone_on_elsewhere,
    is_checkpoint,
)
from search.remote.lease import Lease
from trainables.base.errors import StorageFails
from trainables.base.files import remove
from trainables.base.log import warn
from trainables.base.temporary import temporary_folder
from trainables.sharing.object_store import Store
from trainables.sharing.storage import Storage, is_driver

SEND_SECONDS = 5.0
MOVING = Path("locks") / "moving"  # all checkpoints lie here, as an extension moves them
COPIES = 8  # checkpoints that the storage copies at a time

State = tuple[tuple[int, int], ...]  # of a file: when it was written, and its size


class RunCopy:
    """Kept while the block runs, by the one driver that may. Raises UserError if there is another."""

    def __init__(self, storage: Storage, run_dir: Path):
        """The lock of the run directory must be held."""
        self.storage, self.run_dir = storage, run_dir
        self.lease = Lease(storage, run_dir)
        self._sent: dict[str, State] = {}
        self._sending, self._ended, self._warned = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._send_now_and_then, daemon=True)

    def __enter__(self) -> "RunCopy":
        here = self.lease.take()
        try:
            if not here:
                self._fetch_again()
        except BaseException:
            self.lease.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            if self.lease.whole == self.storage.driver:  # else the storage has the run as it was before
                self.send()
        except StorageFails as error:
            if kind is None:
                raise
            warn(f"{self.run_dir} has more than the storage, so resume from there: {error}")
        finally:
            self.lease.release()

    def send(self) -> None:
        """Send all that has changed; it is there when the call returns.

        Raises StorageFails, also for one that has no right to write any more.
        """
        with self._sending:
            self.lease.check()
            # The study is copied before the journals are read and sent after them, so that it knows of no report that
            # they lack. What follows from the end of a study is written after a `send`.
            files = dict(self._files())
            with temporary_folder() as folder:
                sources = {key: self.run_dir / key for key in files}
                if STUDY in files and self._sent.get(STUDY) != files[STUDY]:
                    sources[STUDY] = _backup(self.run_dir / STUDY, folder / STUDY)
                for key in sorted(files, key=_rank):
                    state = files[key] if key == STUDY else _state(sources[key])
                    if state is not None and self._sent.get(key) != state and self._put(sources[key], key):
                        self._sent[key] = state
            for key in self._sent.keys() - files.keys():
                self.storage.run.remove(key)
                del self._sent[key]

    def _put(self, file: Path, key: str) -> bool:
        """Whether it was still there."""
        try:
            self.storage.run.put(file, key)
        except StorageFails:
            if file.exists():
                raise
            return False
        return True

    def _send_now_and_then(self) -> None:
        while not self._ended.wait(SEND_SECONDS):
            try:
                self.send()
            except StorageFails as error:
                if not self._warned:
                    self._warned = True
                    warn(f"{error}; the search goes on, and this is tried again")

    def _files(self) -> Iterator[tuple[str, State]]:
        """What is to be sent, without checkpoints, drafts and locks."""
        for folder, folders, names in os.walk(self.run_dir):  # which minds nothing that goes meanwhile
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(folder) / name for name in names):
                key = self._key(file)
                if belongs_to_driver(key) and (state := _state(file)) is not None:
                    if key == STUDY:  # the newest part of which is in another file
                        state += _state(file.with_name(f"{STUDY}-wal")) or ()
                    yield key, state

    def _fetch_again(self) -> None:
        """Take what another driver left, on another head or in another folder, if it was the last.

        That takes the place of what was fetched before it was known to be gone.
        """
        others = [path.name for path in self.run_dir.iterdir() if path.name != "locks"]
        if others and not (self.run_dir / FETCHED).exists():
            raise gone_on_elsewhere(self.run_dir, self.storage.url)
        for name in others:
            path = self.run_dir / name
            remove(path)
        fetch_files(Store(f"{self.storage.url}/{self.lease.whole}"), self.run_dir)
        self.lease.adopt()
        (self.run_dir / FETCHED).unlink(missing_ok=True)

    @contextmanager
    def taking_over(self, moves: bool) -> Iterator[None]:
        """Move in the storage what the block moves in the run directory, as a whole or not at all.

        After it this driver's run is the run. moves: whether the block moves anything, checkpoints among it.

        What was before stays as it is until all is sent, below this driver's own key, where checkpoints are copied
        to by the storage itself; only where they are moved they come here meanwhile.
        """
        mark = self.run_dir / MOVING
        if moves and not mark.exists():
            self._bring_checkpoints()
            mark.touch()
        yield
        if mark.exists():
            for file in self._checkpoints():
                self.storage.run.put(file, self._key(file))
        else:
            self._copy_checkpoints()
        self.send()
        drivers = {key.partition("/")[0] for key in self.storage.root.find()}
        self.lease.commit()  # so the lease was ours all the time, and none of these is of a later driver
        for driver in filter(is_driver, drivers - {self.storage.driver}):
            self.storage.root.remove(driver)
        if mark.exists():
            mark.unlink()
            for file in self._checkpoints():
                file.unlink()
        self._thread.start()

    def _bring_checkpoints(self) -> None:
        """All of the run's, into the run directory."""
        for file in self._checkpoints():  # left by a driver that died as it removed them
            file.unlink()
        if self.lease.whole:
            before = Store(f"{self.storage.url}/{self.lease.whole}")
            for key in before.find():
                if is_checkpoint(key):
                    before.get(key, self.run_dir / key)

    def _copy_checkpoints(self) -> None:
        """All of the run's, to this driver's place."""
        if self.lease.whole is None:
            return
        root, before = self.storage.root, self.lease.whole
        keys = [key for key in Store(f"{self.storage.url}/{before}").find() if is_checkpoint(key)]
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(lambda key: root.copy(f"{before}/{key}", f"{self.storage.driver}/{key}"), keys))

    def _checkpoints(self) -> list[Path]:
        """Files of checkpoints in the run directory."""
        return [file for file in self.run_dir.rglob("*") if is_checkpoint(self._key(file))]

    def _key(self, file: Path) -> str:
        return file.relative_to(self.run_dir).as_posix()


def _backup(study: Path, target: Path) -> Path:
    """A copy of the study as it is between two of its writes."""
    try:
        with closing(sqlite3.connect(study)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise StorageFails(f"{study}: can't be copied to {target}: {error}; is the disk full?") from error
    return target


def _state(file: Path) -> State | None:
    """None where it is no file, or is gone."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return ((facts.st_mtime_ns, facts.st_size),) if file.is_file() else None


def _rank(key: str) -> int:
    return 0 if key in JOURNALS else 1 if key == STUDY else 2
