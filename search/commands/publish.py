"""`babeltune publish RUN`: sends a run to W&B."""

from contextlib import nullcontext

from rich.console import Console

from search.commands.lines import say
from search.commands.resume import resumed_experiment
from search.remote.fetching import sole_access
from search.run_directory.trust import PUBLISHED, remember
from search.tracking.tracked import KNOWN
from trainables.base.locks import DriverLock
from trainables.base.log import shown_on


def main(arguments: list[str], console: Console) -> int:
    """Send a run to W&B. Returns 0 if W&B then has everything, else 1."""
    experiment, given, level = resumed_experiment(arguments, "publish")
    from search.tracking import tracker

    lock = DriverLock(experiment.run_dir)
    access = sole_access(experiment.run_url, experiment.run_dir) if experiment.storage else nullcontext()
    try:
        with shown_on(console, level), access as place:
            remember(experiment, given, PUBLISHED)
            complete = tracker.publish(experiment)
            known = experiment.run_dir / KNOWN
            if place and known.exists():  # so that other machines use the same W&B runs
                place.put(known, KNOWN)
    finally:
        lock.release()
    if not complete:
        say(Console(stderr=True), f"publish: W&B lacks some of {experiment.run_dir}, for the reason above; try again")
    return 0 if complete else 1
