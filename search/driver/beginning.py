"""How a run begins: what its first steps, up to the first trial, leave when they are killed, is no obstacle."""

import os
from pathlib import Path

from search.record.driver_log import LOG
from search.record.study_file import count_trials
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
    *STUDY,
    "trials.jsonl",
    "trials",
    FEED,
    KNOWN,
    "wandb",
}
# What a process that dies leaves in a folder of a run; those of `write_atomically` have no name of their own.
LEFT = (".tune-*", ".draft", ".best", ".*.draft")
TRACKING = ("wandb", "tensorboard")  # files of others


def has_begun(run_dir: Path) -> bool:
    """Whether a run directory holds what a start would spoil: trials, or what no run begins with."""
    if not run_dir.is_dir():
        return False
    left = {*leftovers(run_dir)}
    if any(path.name not in FIRST and path not in left for path in run_dir.iterdir()):
        return True
    journal, trials = run_dir / "trials.jsonl", run_dir / "trials"
    if (journal.exists() and journal.stat().st_size) or any(path not in left for path in trials.glob("*")):
        return True
    return count_trials(run_dir / "study.db") > 0


def forget_first_steps(run_dir: Path) -> None:
    """Make room for a start where an earlier one died before its first trial. Raises UserError if it lives."""
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
    """Drafts and temporary folders of drivers and workers that have died; the lock of the run must be held."""
    found = []
    for folder, folders, _ in os.walk(run_dir):
        here = Path(folder)
        found += [path for pattern in LEFT for path in here.glob(pattern)] + drafts(here)
        folders[:] = [name for name in folders if not name.startswith(".") and name not in TRACKING]
    return found


def remove_leftovers(run_dir: Path) -> None:
    """As a driver starts, with the lock of the run."""
    for path in leftovers(run_dir):
        remove(path)
