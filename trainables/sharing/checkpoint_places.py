"""Where the checkpoints of a study's trials are: in the run directory, or in the storage of the search."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainables.base.checkpoint_files import copy_checkpoint, newest_of
from trainables.base.temporary import temporary_folder
from trainables.sharing.storage import Storage


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints of trials by number.

    With a storage, the folder (trials/ or finals/ of the run directory) only gives their keys.
    """

    folder: Path
    storage: Storage | None = None

    def key(self, number: int) -> str:
        """The key of a trial's checkpoints in the storage."""
        return f"{self.folder.name}/{number}"

    def numbers(self) -> set[int]:
        """The numbers of the trials that have checkpoints."""
        if self.storage:
            names = {key.split("/")[1] for key in self.storage.run.find(self.folder.name)}
        else:
            names = {path.name for path in self.folder.glob("*")}
        return {int(name) for name in names if name.isdigit()}

    def remove(self, number: int) -> None:
        """Remove all checkpoints of a trial, here and in the storage."""
        shutil.rmtree(self.folder / str(number), ignore_errors=True)
        if self.storage:
            self.storage.run.remove(self.key(number))

    def copy(self, source: int, target: int, number: int) -> None:
        """Copy the newest checkpoint of one trial, which must have the given number, to another. Raises UserError."""
        if self.storage is None:
            copy_checkpoint(self.folder / str(source), self.folder / str(target), number)
            return
        with self.at_hand(source) as folder:
            newest_of(folder, number)
            self.storage.send(folder, self.key(target), keep=1)

    @contextmanager
    def at_hand(self, number: int, count: int = 1) -> Iterator[Path]:
        """A local folder with the newest `count` checkpoints of a trial."""
        if self.storage is None:
            yield self.folder / str(number)
            return
        with temporary_folder() as folder:
            self.storage.fetch(self.key(number), folder, count)
            yield folder
