"""The overhead of a trial besides its training, with Ray Tune's share.

In seconds from the end of one trial to the end of the next, on one slot, with random proposals.

python bench/overhead.py [TRIALS]
"""

import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from quick import Clock, open_work, quick_experiment
from ray import tune

from search.cluster.local_ray import local_ray
from search.cluster.slots import Slots
from search.cluster.tuning import run_work, worker_setup
from trainables.assignment import Reported, numbers, read_setup, to_result
from trainables.base.locks import DriverLock, join_driver
from trainables.base.report import EpochReport


def report_once(assignment: dict[str, Any]) -> None:
    join_driver(read_setup(assignment).driver_lock)
    figures = {"valid_bleu": 1.0, "valid_nll_per_char": 1.0, "valid_loss": 1.0}
    report = EpochReport(1, 1, figures, train_seconds=0.0, eval_seconds=0.0)
    tune.report(to_result(Reported(numbers(assignment)[0], report)))


def main(trials: int) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        experiment = quick_experiment(Path(folder) / "overhead", "none", trials, epochs=1)
        experiment = experiment.with_values({"search.sampler": "random"})
        lock = DriverLock(experiment.run_dir)
        work = open_work(experiment)
        work.listeners.append(clock)
        started = time.time()
        with local_ray(1):
            slots = Slots(1, 0)
            run_work(work, slots, worker_setup(experiment, slots, lock), report_once)
            seconds = time.time() - started
        lock.release()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    each = [later - earlier for earlier, later in pairwise(clock.ends)]
    print(f"{trials} trials in {seconds:.1f} s, of which {clock.ends[0] - started:.1f} s to the end of the first;")
    print(f"a trial costs {median(each):.3f} s (median; longest {max(each):.3f} s),")
    tenth = max(1, len(each) // 10)
    early, late = median(each[:tenth]), median(each[-tenth:])
    print(
        f"{early:.3f} s in the first tenth, {late:.3f} s in the last; the driver's memory at its peak: {peak:.0f} MiB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
