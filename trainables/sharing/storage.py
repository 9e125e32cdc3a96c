"""The storage of a search whose nodes share no folder: an object store."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainables.base.checkpoint_files import KEEP, checkpoint_number, newest_checkpoint, whole_checkpoint
from trainables.base.config import digest
from trainables.base.errors import StorageFails
from trainables.base.files import make_folder
from trainables.base.temporary import held, user_folder
from trainables.sharing.object_store import Store

DRIVER = "driver.json"  # which driver may write, and where the run is; the driver renews it (search/remote/lease.py)
CHECKPOINT = ("state.pt", "report.json")  # in the order of sending: an incomplete one has no report


def new_driver() -> str:
    """A key that no other driver ever has; later ones sort later, if clocks agree."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}"


def is_driver(name: str) -> bool:
    """Whether a name is the key of a driver."""
    return re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{12}", name) is not None


def find_place(url: str) -> Store | None:
    """Where the files of a run are: below the key of the last driver that had all of them. None if there is no run.

    Raises StorageFails.
    """
    root = Store(url)
    content = root.read(DRIVER)
    if content is None:
        return None
    record = json.loads(content)
    if "whole" not in record:  # of version 0.1, which kept all files below the run itself
        return root
    return Store(f"{url}/{record['whole']}") if record["whole"] else None


@dataclass(frozen=True)
class Storage:
    """The storage of one search, for its driver and, on any node, its workers.

    Each driver, with its workers, writes only below its own key and in `shared`, so late writes of an earlier driver
    never mix with those of a later one. All methods raise StorageFails.
    """

    url: str  # of the run in the storage
    driver: str  # the key of this driver; a later one has another
    corpus: str = ""  # the name of the corpus in the storage: its hash; empty without one
    inputs: str = ""  # the name of the record of `trainables.sharing.inputs`: its hash; empty without one

    @property
    def root(self) -> Store:
        """Contains the folders of the run's drivers, and DRIVER."""
        return Store(self.url)

    @property
    def run(self) -> Store:
        """The run as this driver writes it."""
        return Store(f"{self.url}/{self.driver}")

    @property
    def shared(self) -> Store:
        """Objects that all runs of a storage share, named by content."""
        return Store(f"{self.url.rpartition('/')[0]}/.cache")

    # -- checkpoints, by a key such as "trials/3"

    def fetch(self, key: str, folder: Path, count: int = 1, at_most: int | None = None) -> None:
        """Fetch the newest `count` complete checkpoints up to `at_most` into the folder, or as many as there are."""
        for number, name in self._checkpoints(key):
            if count and (at_most is None or number <= at_most):
                for part in CHECKPOINT:
                    self.run.get(f"{key}/{name}/{part}", folder / name / part)
                count -= whole_checkpoint(folder / name) is not None

    def send(self, folder: Path, key: str, keep: int) -> None:
        """Send the newest checkpoint; keep the last `keep`. Raises StorageFails in a lost driver's worker."""
        self.check_driver()
        found = newest_checkpoint(folder)
        assert found, "a checkpoint precedes each report"
        name, report = found[0].name, (found[0] / "report.json").read_bytes()
        if self.run.read(f"{key}/{name}/report.json") != report:
            for part in CHECKPOINT:
                self.run.put(found[0] / part, f"{key}/{name}/{part}")
        # Later ones are of a driver whose last seconds are lost; they are trained again.
        there = [old for _, old in self._checkpoints(key)]
        last = there[there.index(name) :][: max(KEEP, keep)]
        for old in there:
            if old not in last:
                self.run.remove(f"{key}/{old}")

    def check_driver(self) -> None:
        """Raises StorageFails if another driver has taken over."""
        content = self.root.read(DRIVER)
        if content is None or json.loads(content)["key"] != self.driver:
            raise StorageFails(f"storage: {self.url}: another driver has taken this search over")

    def _checkpoints(self, key: str) -> list[tuple[int, str]]:
        """Number and name of all checkpoints with a report, the newest first."""
        names = {path.split("/")[-2] for path in self.run.find(key) if path.endswith("/report.json")}
        return sorted(((checkpoint_number(name) or 0, name) for name in names), reverse=True)

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A folder of this node to train in, empty unless a process of this driver died in it.

        Folders of workers of earlier drivers are removed.
        """
        runs = user_folder() / "runs" / digest(self.url)
        for other in runs.glob("*"):
            if other.name != self.driver:
                shutil.rmtree(other, ignore_errors=True)
        folder = runs / self.driver / key
        make_folder(folder)
        with held(folder):
            yield folder
