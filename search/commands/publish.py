"""Send a run to W&B."""

from contextlib import nullcontext

from rich.console import Console

from search.commands.lines import say
from search.commands.resume import resumed_experiment
from search.remote.fetching import sole_access
from search.run_directory.trust import PUBLISHED, remember
from search.tracking import tracker
from search.tracking.tracked import KNOWN
from trainables.base.locks import DriverLock


def main(arguments: list[str], console: Console) -> int:
    """Send a run to W&B; 0 if it has everything then, else 1."""
    experiment, given = resumed_experiment(arguments, "publish")

    def tell(text: str) -> None:
        say(console, text)

    lock = DriverLock(experiment.run_dir)
    try:
        with sole_access(experiment.run_url, experiment.run_dir) if experiment.storage else nullcontext() as place:
            remember(experiment, given, tell, PUBLISHED)
            complete = tracker.publish(experiment, tell, tell)
            known = experiment.run_dir / KNOWN
            if place and known.exists():  # so that another machine finds the same W&B runs
                place.put(known, KNOWN)
    finally:
        lock.release()
    return 0 if complete else 1
