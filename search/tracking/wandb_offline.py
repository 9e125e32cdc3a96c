"""Without a key: W&B runs on disk, in RUN/wandb, which W&B's own tools read. Nothing leaves the machine."""

import shutil
from collections.abc import Callable
from pathlib import Path

from search.tracking.tracked import Destination, TrackedSearch
from search.tracking.wandb_runs import Group, Kept, end_run, log_reports
from trainables.installed import program

SPARE_BYTES = 10_000_000


class OfflineRuns:
    """Each run is written as a whole when it has ended, so that none is torn, or in two parts after a promotion."""

    def __init__(self, run_dir: Path, destination: Destination, search: TrackedSearch, say: Callable[[str], None]):
        self.run_dir, self.folder, self.search, self.say = run_dir, run_dir / "wandb", search, say
        self.kept = Kept(run_dir)
        self.group = Group(search.name, "offline", destination, run_dir, destination.entity)
        # offline-run-DATE_TIME-ID
        found = (path.name.split("-", 3)[-1] for path in self.folder.glob("offline-run-*"))
        self.written = {key for run_id in found if (key := self.kept.key(run_id))}

    def update(self) -> None:
        """Write what has ended. Raises OSError where the disk is nearly full, as W&B writes torn files then."""
        for key, run in self.search.runs.items():
            if run.ended and key not in self.written:
                self.folder.mkdir(exist_ok=True)
                if shutil.disk_usage(self.folder).free < SPARE_BYTES:
                    raise OSError(f"the disk of {self.folder} is full")
                started = self.group.start(self.kept.run_id(key), run)
                log_reports(started, run, after=-1)
                end_run(started, run)
                self.written.add(key)

    def missing(self) -> str:
        ended = [key for key, run in self.search.runs.items() if run.ended]
        return f"{len(set(ended) - self.written)} of {len(ended)} runs on disk"

    def complete(self) -> None:
        self.say(
            f"W&B: {len(self.written)} runs in {self.folder}; with a key, "
            f"`{program('publish')} {self.run_dir}` sends them, with sweep and report"
        )
