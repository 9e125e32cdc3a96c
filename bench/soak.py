"""Disturbs real searches at random moments, resumes those that ended, and checks the results.

python bench/soak.py [--disturbances 16] [--kinds "driver killed" …] [--schedulers asha asha_promotion pbt]
    [--slots 1 2] [--trials 12] [--seed 0]

For each scheduler and number of slots, searches with simulated training (see quick.py) run one after another until they
have survived the number of disturbances (see disturbances.py); a search that has ended is resumed. None may be silent
for two minutes. At the end there must be the requested number of trials, none twice, none running; no epoch missing or
repeated; every score as without disturbances; stops only at rungs; and with one slot, for pbt with any number, the
whole study must equal that of an undisturbed run.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from disturbances import DISTURBANCES, Search, can_mount, small_disk
from quick import open_work, quick_epochs, quick_experiment, train_quickly

from search.cluster.local_ray import local_ray
from search.cluster.slots import Slots
from search.cluster.tuning import run_work, worker_setup
from search.cluster.watchdog import Watchdog
from search.record.journal import Journal
from search.record.study import Study
from search.settings.experiment import Experiment
from trainables.assignment import Assignment
from trainables.base.ending import exit_status
from trainables.base.locks import DriverLock
from trainables.base.translation_config import as_translation

MOST_SECONDS = 5  # from the start, or the first sign of training, to a disturbance
STARTING = 0.25  # of the disturbances hit a starting driver


def drive(experiment: Experiment, slots: int) -> int:
    """Run the search, or the rest of it, as `search/driver/search_run.py` does."""
    lock = DriverLock(experiment.run_dir)
    work = open_work(experiment)
    if not work.done:
        with (
            local_ray(slots),
            Watchdog(experiment.run_dir, lock, None, None, [sys.executable, *sys.argv]) as watchdog,
        ):
            work.listeners.append(watchdog)
            all_slots = Slots(slots, 0)
            run_work(work, all_slots, worker_setup(experiment, all_slots, lock), train_quickly)
    lock.release()
    return 0


def undisturbed(experiment: Experiment) -> None:
    """The same search on one slot, without Ray and without kills."""
    work = open_work(experiment)
    while isinstance(task := work.next(1), Assignment):
        for report in quick_epochs(as_translation(task.config), task.checkpoints, 0.0):
            if not work.reported(task.number, report):
                break
        work.released(task.number, crashed=False)


# -- disturbing


def start(experiment: Experiment, slots: int, log: Path) -> Search:
    run_dir = experiment.run_dir
    command = [sys.executable, __file__, "--drive", str(run_dir), "--schedulers", experiment.search.scheduler.kind]
    command += ["--slots", str(slots), "--trials", str(experiment.search.trials)]
    with log.open("ab") as output:
        driver = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "RAY_worker_niceness": "0"})
    return Search(driver, run_dir)


def disturb(search: Search, kind: str, rng: random.Random) -> bool:
    """Disturb a search at a random moment; False if it had already ended."""
    if rng.random() > STARTING:
        search.wait_for(lambda: bool(search.workers()))
    moment = time.monotonic() + rng.uniform(0, MOST_SECONDS)
    search.wait_for(lambda: time.monotonic() > moment)
    if search.has_ended():
        return False
    DISTURBANCES[kind](search, rng)
    return True


def survive(experiment: Experiment, slots: int, kinds: Iterator[str], rng: random.Random, log: Path) -> Counter[str]:
    """Run to the end through disturbances of these kinds; returns what was done."""
    done: Counter[str] = Counter()
    kind = next(kinds, None)
    while True:
        search = start(experiment, slots, log)
        while kind and disturb(search, kind, rng):
            done[kind] += 1
            kind = next(kinds, None)
            if search.has_ended():
                break
        else:
            search.wait_for(search.has_ended)
            assert search.driver.returncode == 0, f"status {search.driver.returncode}"
            return done


# -- checking


def content(experiment: Experiment) -> list[tuple[Any, ...]]:
    study = Study(experiment.run_dir / "study.db", "search", experiment.search.direction)
    return [(t.number, t.params, t.state, t.scores, t.outcome) for t in study.trials.values()]


def check(experiment: Experiment) -> None:
    study = Study(experiment.run_dir / "study.db", "search", experiment.search.direction)
    trials = list(study.trials.values())
    proposed = [trial for trial in trials if not trial.inherited]
    assert len(proposed) == experiment.search.trials, f"{len(proposed)} trials"
    assert len({repr(trial.params) for trial in proposed}) == len(proposed), "a configuration is there twice"
    for trial in trials:
        assert trial.outcome in ("completed", "stopped"), f"trial {trial.number} {trial.outcome}"
        ends = (experiment.training.epochs,) if trial.outcome == "completed" else experiment.rungs
        assert trial.progress in ends, f"trial {trial.number} {trial.outcome} after epoch {trial.progress}"
        if not trial.inherited:  # an heir's scores depend on its parent's, and are compared with the undisturbed run
            config = as_translation(experiment.trial.with_values(trial.params))
            fresh = {report.epoch: report.score("valid_bleu") for report in quick_epochs(config, None, 0.0)}
            assert trial.scores == {epoch: fresh[epoch] for epoch in range(1, trial.progress + 1)}, (
                f"trial {trial.number}"
            )
    lines = Counter((line.trial, line.report.epoch) for line in Journal(experiment.run_dir / "trials.jsonl").lines)
    own = [(trial.number, epoch) for trial in trials for epoch in trial.scores if epoch > trial.inherited]
    assert lines == Counter(own), "trials.jsonl"


def soak(scheduler: str, slots: int, kinds: list[str], trials: int, rng: random.Random) -> None:
    done: Counter[str] = Counter()
    runs, started, exact = 0, time.monotonic(), slots == 1 or scheduler == "pbt"
    while done.total() < len(kinds):
        with (
            TemporaryDirectory() as folder,
            small_disk(Path(folder)) if can_mount() else nullcontext(Path(folder)) as disk,
        ):
            log = Path(folder) / "driver.log"
            experiment = quick_experiment(disk / "run", scheduler, trials)
            experiment.run_dir.mkdir()
            try:
                done += survive(experiment, slots, itertools.islice(kinds, done.total(), None), rng, log)
                check(experiment)
            except AssertionError:
                print(log.read_text()[-3000:], file=sys.stderr)
                raise
            if exact:
                calm = quick_experiment(disk / "calm", scheduler, trials)
                undisturbed(calm)
                assert content(experiment) == content(calm), "not as undisturbed"
            said = log.read_text()
            assert "Traceback" not in said, said[-3000:]
        runs += 1
    print(
        f"{scheduler}, {slots} at a time: {', '.join(f'{count} x {kind}' for kind, count in sorted(done.items()))} in "
        f"{runs} runs of {trials} trials, all sound{', each as if undisturbed' if exact else ''}; "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disturbances", type=int, default=16, help="for each scheduler and number of slots")
    parser.add_argument("--kinds", nargs="+", choices=DISTURBANCES, help="all; without root none that needs a mount")
    parser.add_argument("--schedulers", nargs="+", default=["asha", "asha_promotion", "pbt"])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 2], help="trials at a time")
    parser.add_argument("--trials", type=int, default=12, help="of each search")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)  # the driver to disturb
    options = parser.parse_args()
    if options.drive:
        experiment = quick_experiment(options.drive, options.schedulers[0], options.trials)
        return exit_status(lambda: drive(experiment, options.slots[0]), print)
    kinds = options.kinds or [kind for kind in DISTURBANCES if kind != "full disk" or can_mount()]
    if "full disk" not in kinds:
        print("no disk is filled, as that needs root" if not options.kinds else "not all kinds", file=sys.stderr)
    for scheduler in options.schedulers:
        for slots in options.slots:
            rng = random.Random(options.seed)
            several = [*kinds] * (options.disturbances // len(kinds) + 1)
            planned = rng.sample(several[: options.disturbances], options.disturbances)
            soak(scheduler, slots, planned, options.trials, rng)
    return 0


if __name__ == "__main__":
    sys.exit(main())
