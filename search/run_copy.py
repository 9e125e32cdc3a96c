"""The run directory's copy in the storage of a search: kept up to date by the driver, and fetched on another head.

Checkpoints lie in the storage alone. All else is written in the run directory first, and sent here: before anybody
relies on it, and otherwise every few seconds. So what a lost head takes with it are some seconds of reports, and of
decisions that follow from them. All numbers follow from configuration and seed, and every trial that anybody trains was
sent when it was made, so that going back to those seconds, or a trial to an older checkpoint, leads to the same again.
"""

import os
import shutil
import sqlite3
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from search.lease import Lease
from search.tracking.tracked import FEED
from trainables.checkpoint import checkpoint_number
from trainables.errors import StorageFails, UserError
from trainables.storage import DRIVER, Storage
from trainables.store import Store

SEND_SECONDS = 5.0
BEFORE = "before-extension.tar"  # the whole run, while an extension moves things
STUDY, JOURNALS = "study.db", ("trials.jsonl", "finals.jsonl")
STAYS = ("study.db-wal", "study.db-shm", FEED)  # within the study, or made from it again
FETCHED = Path("locks") / "fetched"  # marks a run directory in which no driver has worked yet

State = tuple[tuple[int, int], ...]  # of a file: when it was written, and its size


class RunCopy:
    """Kept while the block runs, by the one driver that may. Raises UserError if there is another."""

    def __init__(self, storage: Storage, run_dir: Path, warn: Callable[[str], None]):
        """The lock of the run directory must be held."""
        self.storage, self.run_dir, self.warn = storage, run_dir, warn
        self.lease = Lease(storage, run_dir)
        self._sent: dict[str, State] = {}
        self._sending, self._ended, self._warned = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._send_now_and_then, daemon=True)

    def __enter__(self) -> "RunCopy":
        here = self.lease.take()
        try:
            if not here:
                self._fetch_again()
            self.lease.own()
            # What was not sent by this process is sent again; what is not here any more goes.
            self._sent = {key: () for key in self.storage.run.find() if _belongs_to_driver(key)}
        except BaseException:
            self.lease.release()
            raise
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.send()
        except StorageFails as error:
            if kind is None:
                raise
            self.warn(f"{self.run_dir} has more than the storage, so resume from there: {error}")
        finally:
            self.lease.release()

    def send(self) -> None:
        """All that has changed; it is there when the call returns. Raises StorageFails, also for one that has no right
        to write any more."""
        with self._sending:
            self.storage.check_driver()
            # The study is copied before the journals are read and sent after them, so that it knows of no report that
            # they lack. What follows from the end of a study is written after a `send`.
            files = dict(self._files())
            with tempfile.TemporaryDirectory() as folder:
                sources = {key: self.run_dir / key for key in files}
                if STUDY in files and self._sent.get(STUDY) != files[STUDY]:
                    sources[STUDY] = _backup(self.run_dir / STUDY, Path(folder) / STUDY)
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
                    self.warn(f"{error}; the search goes on, and this is tried again")

    def _files(self) -> Iterator[tuple[str, State]]:
        """What is to be sent, without checkpoints, drafts and locks."""
        for folder, folders, names in os.walk(self.run_dir):  # which minds nothing that goes meanwhile
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(folder) / name for name in names):
                key = self._key(file)
                if _belongs_to_driver(key) and (state := _state(file)) is not None:
                    if key == STUDY:  # the newest part of which is in another file
                        state += _state(file.with_name(f"{STUDY}-wal")) or ()
                    yield key, state

    def _fetch_again(self) -> None:
        """Another driver, on another head or in another folder, was the last: what it left takes the place of what
        was fetched before it was known to be gone."""
        others = [path.name for path in self.run_dir.iterdir() if path.name != "locks"]
        if others and not (self.run_dir / FETCHED).exists():
            raise UserError(
                f"{self.run_dir}: the search has gone on elsewhere since; move this folder away, then resume "
                f"{self.storage.url}"
            )
        for name in others:
            path = self.run_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _fetch(self.storage.run, self.run_dir)
        (self.run_dir / FETCHED).unlink(missing_ok=True)

    @contextmanager
    def extension(self, moves: bool) -> Iterator[None]:
        """What the block moves in the run directory, checkpoints among it, is moved in the storage, too, as a whole or
        not at all. moves: whether it does; it ends an extension that was cut off, in any case."""
        begun = bool(self.storage.run.find(BEFORE))
        if moves and not begun:
            self._begin_extension()
        yield
        if moves or begun:
            self._end_extension()

    def _begin_extension(self) -> None:
        """Bring the checkpoints here, and keep the run as it is until the extension is whole in the storage."""
        for file in self._checkpoints():  # of an extension that was ended
            file.unlink()
        for key in self.storage.run.find():
            if _is_checkpoint(key):
                self.storage.run.get(key, self.run_dir / key)
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(Path(folder) / BEFORE, "w") as archive:
                for path in sorted(self.run_dir.iterdir()):
                    if path.name != "locks":
                        archive.add(path, path.name)
            self.storage.run.put(Path(folder) / BEFORE, BEFORE)

    def _end_extension(self) -> None:
        """Send the checkpoints where they are now."""
        with self._sending:
            self.storage.check_driver()
            here = self._checkpoints()
            for key in self.storage.run.find():
                if _is_checkpoint(key):
                    self.storage.run.remove(key)
            for file in here:
                self.storage.run.put(file, self._key(file))
        self.send()
        self.storage.run.remove(BEFORE)
        for file in here:
            file.unlink()

    def _checkpoints(self) -> list[Path]:
        """Files of checkpoints in the run directory."""
        return [file for file in self.run_dir.rglob("*") if _is_checkpoint(self._key(file))]

    def _key(self, file: Path) -> str:
        return file.relative_to(self.run_dir).as_posix()


def fetch_run(url: str, folder: Path) -> Path:
    """The run at a URL, but for its checkpoints, as a run directory in the folder, or the one that is there already.

    Raises UserError if there is no run.
    """
    store = Store(url)
    run_dir = folder.absolute() / store.url.rpartition("/")[2]
    if run_dir.exists() and not (run_dir / FETCHED).exists():
        return run_dir  # a driver has worked here; whether it was the last is seen when the lease is taken
    keys = store.find()
    if "experiment.yaml" not in keys and BEFORE not in keys:
        raise UserError(f"{url}: not a run: it holds no experiment.yaml; name one as in s3://bucket/runs/NAME")
    shutil.rmtree(run_dir, ignore_errors=True)
    (run_dir / FETCHED).parent.mkdir(parents=True)
    (run_dir / FETCHED).touch()
    _fetch(store, run_dir)
    return run_dir


def _fetch(store: Store, run_dir: Path) -> None:
    if store.get(BEFORE, run_dir / BEFORE):  # an extension that a lost head did not end; it has to be asked for anew
        with tarfile.open(run_dir / BEFORE) as archive:
            archive.extractall(run_dir, filter="data")
        (run_dir / BEFORE).unlink()
        return
    for key in store.find():
        if _belongs_to_driver(key):
            store.get(key, run_dir / key)


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


def _is_checkpoint(key: str) -> bool:
    return any(checkpoint_number(part) is not None for part in Path(key).parts[:-1])


def _belongs_to_driver(key: str) -> bool:
    parts = Path(key).parts
    hidden = any(part.startswith(".") for part in parts)
    return not (hidden or parts[0] == "locks" or key in (DRIVER, BEFORE, *STAYS) or _is_checkpoint(key))
