"""Kills drivers and workers of real searches at random moments, resumes them, and checks what came out.

python bench/soak.py [--kills 10] [--schedulers asha asha_promotion pbt] [--slots 1 2] [--trials 12] [--seed 0]

For each scheduler and number of slots, searches on made-up training (see quick.py) run one after another until
so many kills have been survived; each is resumed until it ends. Then: the asked number of trials, none twice, none
running; no epoch missing or repeated; every score as without a kill; stops at rungs alone; and with one slot, for
pbt with any number, the whole study equal to that of an undisturbed run.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from quick import WORKERS, open_work, quick_epochs, quick_experiment, train_quickly

from search.cluster.local_ray import local_ray
from search.cluster.slots import Slots
from search.cluster.tuning import run_work
from search.experiment import Experiment
from search.journal import Journal
from search.study import Study
from search.work import Assignment
from trainables.locks import DriverLock

MOST_SECONDS = 5  # from the start, or the first sign of training, to a kill


def drive(experiment: Experiment, slots: int) -> None:
    """Run the search, or what is left of it, as `search/pipeline.py` does."""
    lock = DriverLock(experiment.run_dir)
    work = open_work(experiment)
    if not work.done:
        with local_ray(slots):
            run_work(work, Slots(slots, 0), lock, experiment.cache, train_quickly)
    lock.release()


def undisturbed(experiment: Experiment) -> None:
    """The same search on one slot, without Ray and without kills."""
    work = open_work(experiment)
    while isinstance(task := work.next(1), Assignment):
        for report in quick_epochs(task.config, task.checkpoints, 0.0):
            if not work.reported(task.number, vars(report)):
                break
        work.released(task.number, crashed=False)


# -- killing


def start(experiment: Experiment, slots: int) -> subprocess.Popen[bytes]:
    run_dir = experiment.run_dir
    command = [sys.executable, __file__, "--drive", str(run_dir), "--schedulers", experiment.search.scheduler]
    command += ["--slots", str(slots), "--trials", str(experiment.search.trials)]
    environment = {**os.environ, "RAY_TMPDIR": str(run_dir.parent), "RAY_worker_niceness": "0"}
    with (run_dir.parent / "driver.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def disturb(driver: subprocess.Popen[bytes], run_dir: Path, rng: random.Random) -> str | None:
    """Wait a random while and kill; what was killed, or None if the driver ended before.

    One kill in four hits a driver that starts; the others come once it trains, and half of these hit a worker.
    """
    starting, at_worker = rng.random() < 0.25, rng.random() < 0.5
    while not starting and driver.poll() is None and not descendants(driver.pid) & recorded(run_dir):
        time.sleep(0.2)
    try:
        driver.wait(rng.uniform(0, MOST_SECONDS))
        return None
    except subprocess.TimeoutExpired:
        workers = descendants(driver.pid) & recorded(run_dir)
    if at_worker and workers and not starting:
        os.kill(rng.choice(sorted(workers)), signal.SIGKILL)
        return "worker"
    driver.kill()
    driver.wait()
    return "driver"


def recorded(run_dir: Path) -> set[int]:
    file = run_dir / WORKERS
    return set(map(int, file.read_text().split())) if file.exists() else set()


def descendants(pid: int) -> set[int]:
    """The processes that a process of ours has started, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = set[int](), [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def survive(experiment: Experiment, slots: int, kills: int, rng: random.Random) -> Counter[str]:
    """Run to the end through at most so many kills; what was killed."""
    killed: Counter[str] = Counter()
    while True:
        driver = start(experiment, slots)
        while killed.total() < kills and (what := disturb(driver, experiment.run_dir, rng)):
            killed[what] += 1
            if what == "driver":
                break
        else:
            driver.wait()
            assert driver.returncode == 0, (experiment.run_dir.parent / "driver.log").read_text()[-3000:]
            return killed


# -- checking


def content(experiment: Experiment) -> list[tuple[Any, ...]]:
    study = Study(experiment.run_dir / "study.db", "search", experiment.search.direction)
    return [(t.number, t.params, t.state, t.scores, t.outcome) for t in study.trials.values()]


def check(experiment: Experiment) -> None:
    study = Study(experiment.run_dir / "study.db", "search", experiment.search.direction)
    trials = list(study.trials.values())
    proposed = [trial for trial in trials if not trial.inherited]
    assert len(proposed) == experiment.search.trials, f"{len(proposed)} trials"
    assert len({repr(trial.params) for trial in proposed}) == len(proposed), "a configuration stands twice"
    for trial in trials:
        assert trial.outcome in ("completed", "stopped"), f"trial {trial.number} {trial.outcome}"
        ends = (experiment.training.epochs,) if trial.outcome == "completed" else experiment.rungs
        assert trial.epoch in ends, f"trial {trial.number} {trial.outcome} after epoch {trial.epoch}"
        if not trial.inherited:  # an heir's hang on its parents', and are compared with the undisturbed run
            config = experiment.trial.with_values(trial.params)
            fresh = {report.epoch: report.valid_bleu for report in quick_epochs(config, None, 0.0)}
            assert trial.scores == {epoch: fresh[epoch] for epoch in range(1, trial.epoch + 1)}, f"trial {trial.number}"
    lines = Counter((line["trial"], line["epoch"]) for line in Journal(experiment.run_dir / "trials.jsonl").lines)
    own = [(trial.number, epoch) for trial in trials for epoch in trial.scores if epoch > trial.inherited]
    assert lines == Counter(own), "trials.jsonl"


def soak(scheduler: str, slots: int, kills: int, trials: int, rng: random.Random) -> None:
    killed: Counter[str] = Counter()
    runs, started, exact = 0, time.monotonic(), slots == 1 or scheduler == "pbt"
    while killed.total() < kills:
        with TemporaryDirectory() as folder:
            experiment = quick_experiment(Path(folder) / "run", scheduler, trials)
            experiment.run_dir.mkdir()
            killed += survive(experiment, slots, kills - killed.total(), rng)
            check(experiment)
            if exact:
                calm = quick_experiment(Path(folder) / "calm", scheduler, trials)
                undisturbed(calm)
                assert content(experiment) == content(calm), "not as undisturbed"
        runs += 1
    print(
        f"{scheduler}, {slots} at a time: {killed['driver']} drivers and {killed['worker']} workers killed in {runs} "
        f"runs of {trials} trials, all sound{', each as if undisturbed' if exact else ''}; "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs for each scheduler and number of slots")
    parser.add_argument("--schedulers", nargs="+", default=["asha", "asha_promotion", "pbt"])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 2], help="trials at a time")
    parser.add_argument("--trials", type=int, default=12, help="of each search")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)  # the driver that is to be killed
    options = parser.parse_args()
    if options.drive:
        drive(quick_experiment(options.drive, options.schedulers[0], options.trials), options.slots[0])
        return
    for scheduler in options.schedulers:
        for slots in options.slots:
            soak(scheduler, slots, options.kills, options.trials, random.Random(options.seed))


if __name__ == "__main__":
    main()
