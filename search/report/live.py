"""The process that writes report.html while a search runs: python -m search.report.live RUN BEGUN.

It reads the files of the run. The driver (`search/driver/live_report.py`) tells it on standard input, in lines of JSON,
how things stand; it ends when that is closed, so also when the driver is killed. It takes 2% of a core at most.
"""

import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from search.record.journal import read_lines
from search.record.study import Study
from search.report.page import Findings, render
from search.report.summary import Progress
from search.run_directory.inputs import read_starts
from search.run_directory.overview import subject_of
from search.settings.stored import stored_experiment
from trainables.base.errors import UserError
from trainables.base.files import write_atomically
from trainables.base.locks import locked

SHARE = 1 / 50  # of a core
SOONEST, LATEST = 15, 600  # seconds after which a page looks for a newer one
LOCK = "locks/report"  # held for a moment, by whoever writes the page
LARGEST = 4000  # bytes of a message: so many are written to a pipe at once or not at all


class Driver:
    """What the driver tells on a pipe: the latest message, and whether it has ended."""

    def __init__(self, pipe: int):
        os.set_blocking(pipe, False)
        self.pipe, self.message, self.ended, self._rest = pipe, dict[str, object](), False, b""

    def listen(self, seconds: float = 0.0) -> bool:
        """Wait for a message, so many seconds at most, and take all that are there. Returns whether one came."""
        heard = False
        while select.select([self.pipe], [], [], seconds)[0]:
            content = os.read(self.pipe, 1 << 16)
            if not content:
                self.ended = True
                break
            *lines, self._rest = (self._rest + content).split(b"\n")
            if lines:
                self.message, heard = json.loads(lines[-1]), True
            seconds = 0.0
        return heard


def found_so_far(run_dir: Path, progress: Progress | None) -> Findings | None:
    """What a search has found so far; None before its first report. Raises UserError.

    progress: how far it is, if it runs.
    """
    experiment = stored_experiment(run_dir)
    reports, finals = read_lines(run_dir / "trials.jsonl"), read_lines(run_dir / "finals.jsonl")
    if not reports:
        return None
    study = Study(run_dir / "study.db", "search", experiment.search.direction, "read")
    try:
        trials = list(study.trials.values())
    finally:
        study.close()
    return Findings(
        experiment=experiment,
        trials=trials,
        reports=reports,
        finals=finals,
        leaderboard=None,
        by=None,
        data=subject_of(experiment),
        starts=read_starts(run_dir),
        progress=progress,
    )


def keep_written(run_dir: Path, driver: Driver, begun: float) -> None:
    """Write the page whenever something has changed and it was not too dear. begun: when the driver began, as time."""
    last, heard = 0.0, True
    while not driver.ended:
        used = time.process_time()
        due = begun + (used + last) / SHARE  # with the next page, the share is as large as it may be
        heard |= driver.listen(max(0.0, due - time.time()) if heard else LATEST)
        if not heard or driver.ended or time.time() < due:
            continue
        with suppress(UserError):  # a file that is being replaced; the next time will do
            _write(run_dir, driver, every=round(min(LATEST, max(SOONEST, 2 * last / SHARE))))
        last, heard = time.process_time() - used, False


def _write(run_dir: Path, driver: Driver, every: int) -> None:
    running = driver.message.get("running", [])
    assert isinstance(running, list)
    progress = Progress(time.time(), str(driver.message.get("standing", "")), running, every)
    if (found := found_so_far(run_dir, progress)) is not None:
        page = render(found, run_dir)
        with locked(run_dir / LOCK):
            driver.listen()
            if not driver.ended:  # otherwise the page may be another driver's by now
                write_atomically(run_dir / "report.html", page)


def main(arguments: list[str]) -> None:
    """Write the page of a run until standard input is closed."""
    os.nice(19)  # training has priority
    keep_written(Path(arguments[0]), Driver(sys.stdin.fileno()), float(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
