"""The begin of a run: a new search may replace what a search left that was killed before its first trial."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from search.record.driver_log import LOG
from search.run_directory.prior_sources import KEPT
from search.settings.known_runs import RUN_ID
from search.tracking.tracked import FEED, KNOWN
from trainables.base.errors import UserError
from trainables.base.files import drafts, remove
from trainables.base.locks import DriverLock

STUDY = ("study.db", "study.db-wal", "study.db-shm", "study.db-journal")
FIRST = {
    "locks",
    RUN_ID,
    LOG,
    "inputs.json",
    "experiment.yaml",
    KEPT,
    "plan.json",
    *STUDY,
    "trials.jsonl",
    "trials",
    FEED,
    KNOWN,
    "wandb",
}
# What a killed process leaves in a run; drafts of `write_atomically` are found by `drafts`.
LEFT = (".tune-*", ".draft", ".best", ".*.draft")
TRACKING = ("wandb", "tensorboard")  # files that others write


def has_begun(run_dir: Path) -> bool:
    """Whether a run directory has trials, or files that a run does not begin with."""
    if not run_dir.is_dir():
        return False
    left = {*leftovers(run_dir)}
    if any(path.name not in FIRST and path not in left for path in run_dir.iterdir()):
        return True
    journal, trials = run_dir / "trials.jsonl", run_dir / "trials"
    if (journal.exists() and journal.stat().st_size) or any(path not in left for path in trials.glob("*")):
        return True
    return _count_trials(run_dir / "study.db") > 0


def forget_first_steps(run_dir: Path) -> None:
    """Remove what a search left that was killed before its first trial. Raises UserError if the search is alive."""
    if not run_dir.is_dir() or not any(run_dir.iterdir()):
        return
    lock = DriverLock(run_dir)
    try:
        if has_begun(run_dir):
            raise UserError(f"{run_dir}: another process has begun a search here; choose another --name")
        for path in run_dir.iterdir():
            if path.name != "locks":
                remove(path)
    finally:
        lock.release()


def leftovers(run_dir: Path) -> list[Path]:
    """Drafts and temporary folders of killed drivers and workers. The lock of the run must be held."""
    found = []
    for folder, folders, _ in os.walk(run_dir):
        here = Path(folder)
        found += [path for pattern in LEFT for path in here.glob(pattern)] + drafts(here)
        folders[:] = [name for name in folders if not name.startswith(".") and name not in TRACKING]
    return found


def remove_leftovers(run_dir: Path) -> None:
    """Remove these leftovers, when a driver starts and holds the lock of the run."""
    for path in leftovers(run_dir):
        remove(path)


def _count_trials(file: Path) -> int:
    """The number of trials in all studies of a file; 0 if it is missing or incomplete."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.Error:
        return 0
