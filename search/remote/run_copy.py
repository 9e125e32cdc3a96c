"""The copy of a run directory in the storage of a search; the driver updates it, and another head can fetch it.

Checkpoints are in the storage only. All other files are first written to the run directory, then sent: at once if
something relies on them, otherwise every few seconds. So if a head is lost, some seconds of reports, and decisions that
follow from them, are lost. Every trial was sent before it was trained, and all numbers follow from configuration and
seed. So if these seconds are repeated, or a trial continues from an older checkpoint, the results are the same.
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
MOVING = Path("locks") / "moving"  # exists while an extension has all checkpoints in the run directory, to move them
COPIES = 8  # files of checkpoints that the storage copies at a time

State = tuple[tuple[int, int], ...]  # time of the last write and size, of a file and perhaps of its WAL


class RunCopy:
    """Keeps the copy up to date while the block runs. Raises UserError if another driver is alive."""

    def __init__(self, storage: Storage, run_dir: Path):
        """The lock of the run directory must be held."""
        self.storage, self.run_dir = storage, run_dir
        self.lease = Lease(storage, run_dir)
        self._sent: dict[str, State] = {}
        self._sending, self._ended, self._warned = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._send_regularly, daemon=True)

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
            if self.lease.whole == self.storage.driver:  # otherwise the storage still has the run of the last driver
                self.send()
        except StorageFails as error:
            if kind is None:
                raise
            warn(f"{self.run_dir} has more than the storage, so resume from this folder: {error}")
        finally:
            self.lease.release()

    def send(self) -> None:
        """Send everything that has changed; it has arrived when the call returns.

        Raises StorageFails, also if this driver has lost the lease.
        """
        with self._sending:
            self.lease.check()
            # The study is copied before the journals are read, and sent after them, so it has no report that they
            # lack. Files that depend on a finished study are written after a `send`.
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
        """Send a file. Returns False if it has been removed."""
        try:
            self.storage.run.put(file, key)
        except StorageFails:
            if file.exists():
                raise
            return False
        return True

    def _send_regularly(self) -> None:
        while not self._ended.wait(SEND_SECONDS):
            try:
                self.send()
            except StorageFails as error:
                if not self._warned:
                    self._warned = True
                    warn(f"{error}; the search continues, and this is tried again")

    def _files(self) -> Iterator[tuple[str, State]]:
        """The files to send, without checkpoints, drafts and locks."""
        for folder, folders, names in os.walk(self.run_dir):  # files may be removed meanwhile
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(folder) / name for name in names):
                key = self._key(file)
                if belongs_to_driver(key) and (state := _state(file)) is not None:
                    if key == STUDY:  # its newest part is in the WAL
                        state += _state(file.with_name(f"{STUDY}-wal")) or ()
                    yield key, state

    def _fetch_again(self) -> None:
        """Fetch the run that the last driver left, from another head or folder.

        It replaces what was fetched before that driver was known to be dead.
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
        """Make this driver's copy the run, with the changes of the block, completely or not at all.

        moves: whether the block moves files, also checkpoints. Everything is sent to this driver's own key, and the
        last driver's copy is not changed before that is complete. The storage itself copies checkpoints to the new key;
        only if they are to be moved, they are fetched into the run directory.
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
        self.lease.commit()  # it succeeds only if the lease was ours all the time, so no later driver is among these
        for driver in filter(is_driver, drivers - {self.storage.driver}):
            self.storage.root.remove(driver)
        if mark.exists():
            mark.unlink()
            for file in self._checkpoints():
                file.unlink()
        self._thread.start()

    def _bring_checkpoints(self) -> None:
        """Fetch all checkpoints of the run into the run directory."""
        for file in self._checkpoints():  # left by a driver that was killed while it removed them
            file.unlink()
        if self.lease.whole:
            before = Store(f"{self.storage.url}/{self.lease.whole}")
            for key in before.find():
                if is_checkpoint(key):
                    before.get(key, self.run_dir / key)

    def _copy_checkpoints(self) -> None:
        """Copy all checkpoints of the run to this driver's key."""
        if self.lease.whole is None:
            return
        root, before = self.storage.root, self.lease.whole
        keys = [key for key in Store(f"{self.storage.url}/{before}").find() if is_checkpoint(key)]
        with ThreadPoolExecutor(COPIES) as pool:
            list(pool.map(lambda key: root.copy(f"{before}/{key}", f"{self.storage.driver}/{key}"), keys))

    def _checkpoints(self) -> list[Path]:
        """The files of checkpoints in the run directory."""
        return [file for file in self.run_dir.rglob("*") if is_checkpoint(self._key(file))]

    def _key(self, file: Path) -> str:
        return file.relative_to(self.run_dir).as_posix()


def _backup(study: Path, target: Path) -> Path:
    """A consistent copy of the study."""
    try:
        with closing(sqlite3.connect(study)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise StorageFails(f"{study}: can't be copied to {target}: {error}; is the disk full?") from error
    return target


def _state(file: Path) -> State | None:
    """The state of a file; None if it is missing or not a file."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return ((facts.st_mtime_ns, facts.st_size),) if file.is_file() else None


def _rank(key: str) -> int:
    return 0 if key in JOURNALS else 1 if key == STUDY else 2
