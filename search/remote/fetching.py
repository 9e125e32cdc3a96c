"""Access to a run in a storage without being its driver: fetching it, and writing to it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.record.driver_log import LOG
from search.remote.lease import Lease
from search.settings.experiment import Experiment
from search.tracking.tracked import FEED
from trainables.base.checkpoint_files import checkpoint_number
from trainables.base.errors import UserError
from trainables.sharing.object_store import Store
from trainables.sharing.storage import DRIVER, Storage, find_place, new_driver

STUDY, JOURNALS = "study.db", ("trials.jsonl", "finals.jsonl")
# Files that are part of the study, can be made again, or belong to this machine.
STAYS = ("study.db-wal", "study.db-shm", FEED, LOG)
FETCHED = Path("locks") / "fetched"  # marks a run directory in which no driver has worked yet


def fetch_run(url: str, folder: Path) -> Path:
    """Fetch the run at a URL, without its checkpoints, into the folder, unless the folder has it.

    Raises UserError if there is no run.
    """
    url = url.rstrip("/")
    run_dir = folder.absolute() / url.rpartition("/")[2]
    if run_dir.exists() and not (run_dir / FETCHED).exists():
        return run_dir  # a driver has worked here; taking the lease shows whether it was the last one
    place = find_place(url)
    if place is None:
        raise UserError(f"{url}: not a run, or a run that has not begun; name one as in s3://bucket/runs/NAME")
    while True:
        shutil.rmtree(run_dir, ignore_errors=True)
        (run_dir / FETCHED).parent.mkdir(parents=True)
        (run_dir / FETCHED).touch()
        fetch_files(place, run_dir)
        last, place = place, find_place(url) or place
        if place.url == last.url:  # otherwise a new driver has moved it meanwhile
            return run_dir


def storage_of(experiment: Experiment) -> Storage | None:
    """The storage with the checkpoints of a run, to read; None if the run has them. Raises StorageFails, UserError."""
    if experiment.storage is None:
        return None
    place = find_place(experiment.run_url)
    if place is None:
        raise UserError(f"{experiment.run_url}: not a run, or one that has not begun")
    return Storage(experiment.run_url, place.url.removeprefix(experiment.run_url).strip("/"))


@contextmanager
def sole_access(url: str, run_dir: Path) -> Iterator[Store]:
    """The store of the run at a URL; no driver can work on the run while the block runs.

    The lock of the run directory must be held. Raises UserError if a driver is alive.
    """
    place = find_place(url)
    if place is None:
        raise UserError(f"{url}: not a run, or one that has not begun")
    if place.url == url:  # made by version 0.1, whose drivers take no lease
        yield place
        return
    lease = Lease(Storage(url, new_driver(), corpus=""), run_dir)
    here = lease.take()
    try:
        if not here and not (run_dir / FETCHED).exists():
            raise gone_on_elsewhere(run_dir, url)
        yield Store(f"{url}/{lease.whole}")
    finally:
        lease.release()


def gone_on_elsewhere(run_dir: Path, url: str) -> UserError:
    """The error for a run directory whose search another machine has continued."""
    return UserError(
        f"{run_dir}: the search was continued elsewhere; move this folder away, then fetch or resume {url}"
    )


def fetch_files(place: Store, run_dir: Path) -> None:
    """Fetch the files of a run. The study is first, as journals may be ahead of it, but not behind."""
    for key in sorted(filter(belongs_to_driver, place.find()), key=lambda key: key != STUDY):
        place.get(key, run_dir / key)


def is_checkpoint(key: str) -> bool:
    """Whether an object of a run is part of a checkpoint."""
    return any(checkpoint_number(part) is not None for part in Path(key).parts[:-1])


def belongs_to_driver(key: str) -> bool:
    """Whether the driver sends this object of a run, and not a worker."""
    parts = Path(key).parts
    hidden = any(part.startswith(".") for part in parts)
    return not (hidden or parts[0] == "locks" or key in (DRIVER, *STAYS) or is_checkpoint(key))
