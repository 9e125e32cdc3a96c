"""W&B runs without a key: files in RUN/wandb, which W&B's own tools can read. Nothing leaves the machine."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from search.settings.wording import count
from search.tracking.tracked import Destination, TrackedRun, TrackedSearch
from search.tracking.wandb_file import is_whole
from search.tracking.wandb_runs import Group, Kept, end_run, log_reports
from trainables.base.files import sync, sync_tree
from trainables.base.installed import program

SPARE_BYTES = 10_000_000
RUNS = "offline-run-*"  # folders, named offline-run-DATE_TIME-ID


class OfflineRuns:
    """Writes each run to RUN/wandb when it has ended: first as a draft, which is moved there once it is complete.

    So no run there is incomplete, or in two parts after a promotion. A run that is damaged nevertheless, by version 0.1
    or by the disk, is written again.
    """

    def __init__(self, run_dir: Path, destination: Destination, search: TrackedSearch, say: Callable[[str], None]):
        """Raises OSError, and Damaged if wandb.json is damaged."""
        self.run_dir, self.folder, self.search, self.say = run_dir, run_dir / "wandb", search, say
        self.draft = self.folder / ".draft"
        self.kept = Kept(run_dir)
        self.group = Group(search.name, "offline", destination, self.draft, destination.entity)
        self.written: set[str] = set()
        for place in self.folder.glob(RUNS):
            if key := self.kept.key(place.name.split("-", 3)[-1]):
                self.written.add(key) if is_whole(place) else _remove(place)

    def update(self) -> None:
        """Write runs that have ended. Raises OSError if the disk is nearly full, where W&B writes incomplete files."""
        for key, run in self.search.runs.items():
            if run.ended and key not in self.written:
                self._write(key, run)
                self.written.add(key)

    def _write(self, key: str, run: TrackedRun) -> None:
        _remove(self.draft)
        self.draft.mkdir(parents=True)
        if shutil.disk_usage(self.draft).free < SPARE_BYTES:
            raise OSError(f"the disk of {self.folder} is full")
        started = self.group.start(self.kept.run_id(key), run)
        log_reports(started, run, after=-1)
        end_run(started, run)
        (draft,) = (self.draft / "wandb").glob(RUNS)
        deadline = time.monotonic() + self.group.destination.patience
        while not is_whole(draft, len(run.reports)):  # W&B's service still writes for a moment after `finish`
            if time.monotonic() > deadline:
                raise OSError(f"a run in {self.folder} is incomplete; is its disk full?")
            time.sleep(0.01)
        sync_tree(draft)
        draft.rename(self.folder / draft.name)
        sync(self.folder)
        _remove(self.draft)

    def missing(self) -> str:
        """A text on how much is not written yet."""
        ended = [key for key, run in self.search.runs.items() if run.ended]
        return f"{len(set(ended) - self.written)} of {len(ended)} runs on disk"

    def complete(self) -> None:
        """Print what was written, and how it can be sent."""
        self.say(
            f"W&B: {count(len(self.written), 'run', 'runs')} in {self.folder}; with a key, "
            f"`{program('publish')} {self.run_dir}` sends everything, with sweep and report"
        )


def _remove(place: Path) -> None:
    """Remove a folder, or a file or link of its name. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
