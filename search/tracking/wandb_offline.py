"""Without a key: W&B runs on disk, in RUN/wandb, which W&B's own tools read. Nothing leaves the machine."""

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
    """Each run is written when it has ended, as a draft, and gets its place in RUN/wandb when it is whole and on disk.

    So none there is torn, or in two parts after a promotion. One that is torn all the same, by version 0.1 or by the
    disk, is written again.
    """

    def __init__(self, run_dir: Path, destination: Destination, search: TrackedSearch, say: Callable[[str], None]):
        """Raises OSError, and Damaged if wandb.json is."""
        self.run_dir, self.folder, self.search, self.say = run_dir, run_dir / "wandb", search, say
        self.draft = self.folder / ".draft"
        self.kept = Kept(run_dir)
        self.group = Group(search.name, "offline", destination, self.draft, destination.entity)
        self.written: set[str] = set()
        for place in self.folder.glob(RUNS):
            if key := self.kept.key(place.name.split("-", 3)[-1]):
                self.written.add(key) if is_whole(place) else _remove(place)

    def update(self) -> None:
        """Write what has ended. Raises OSError where the disk is nearly full, as W&B writes torn files then."""
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
        while not is_whole(draft, len(run.reports)):  # W&B's service writes on for a moment after `finish`
            if time.monotonic() > deadline:
                raise OSError(f"a run in {self.folder} came out torn; is its disk full?")
            time.sleep(0.01)
        sync_tree(draft)
        draft.rename(self.folder / draft.name)
        sync(self.folder)
        _remove(self.draft)

    def missing(self) -> str:
        """How much is not written yet, in words."""
        ended = [key for key, run in self.search.runs.items() if run.ended]
        return f"{len(set(ended) - self.written)} of {len(ended)} runs on disk"

    def complete(self) -> None:
        """Say what was written, and how it is sent."""
        self.say(
            f"W&B: {count(len(self.written), 'run', 'runs')} in {self.folder}; with a key, "
            f"`{program('publish')} {self.run_dir}` sends all, with sweep and report"
        )


def _remove(place: Path) -> None:
    """A folder, or whatever stands in its place. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
