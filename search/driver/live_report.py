"""Has report.html written while the search runs, by a process of its own: see `search/report/live.py`."""

import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.live import LARGEST, LOCK
from trainables.base.locks import locked

Standing = Callable[[], tuple[str, tuple[str, ...]]]  # a line on all, and a line for each trial in training

log = logging.getLogger("babeltune.report")
FIRST = 100.0  # seconds from the begin: the process takes 2 to start, which are 2% by then
AGAIN = 5.0  # seconds between messages
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class LiveReport:
    """Listens to a search and then to its finals, and tells the process how things stand.

    It does so after an event, once in `AGAIN` seconds at most. No error of the process ends the search, and the search
    never waits for it: a message for which the pipe has no room is dropped.
    """

    def __init__(self, run_dir: Path, first: float = FIRST):
        """first: seconds after which the process starts."""
        self.run_dir, self.begun = run_dir, time.time()
        self.next = self.begun + first  # when it is told next
        self.process: subprocess.Popen[bytes] | None = None
        self.standing: Standing = lambda: ("", ())

    def __enter__(self) -> "LiveReport":
        return self

    def __exit__(self, *_: object) -> None:
        """End the process. A page that it has not begun to write is not written any more."""
        self.next = math.inf
        if self.process:
            with locked(self.run_dir / LOCK):
                self.process.kill()
                self.process.communicate()

    def of(self, standing: Standing) -> "LiveReport":
        """Tell from now on what this says."""
        self.standing = standing
        return self

    # -- as `Listener` says

    def trial_started(self, trial: StudyTrial) -> None:
        self._look()

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        self._look()

    def trial_parked(self, trial: StudyTrial) -> None:
        self._look()

    def trial_ended(self, trial: StudyTrial) -> None:
        self._look()

    def _look(self) -> None:
        if time.time() < self.next:
            return
        self.next = time.time() + AGAIN
        try:
            self.process = self.process or _start(self.run_dir, self.begun)
            assert self.process.stdin
            os.write(self.process.stdin.fileno(), _message(*self.standing()))
        except BlockingIOError:
            pass  # it is at work on a page; a later message will do
        except OSError as error:  # no process can be started, or it has failed
            self.next = math.inf
            log.info("report.html is not renewed any more while the search runs: %s", error)


def _start(run_dir: Path, begun: float) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(filter(None, sys.path))  # a problem may be a user's own code
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "search.report.live", str(run_dir), f"{begun:.0f}"],
        stdin=subprocess.PIPE,  # closed when the driver ends
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, **ONE_THREAD},
        start_new_session=True,  # the driver handles Ctrl-C
    )
    assert process.stdin
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _message(standing: str, running: Sequence[str]) -> bytes:
    """A line that is written to a pipe at once or not at all, so it lacks trials for which it has no room."""
    for shown in range(len(running), -1, -1):
        text = json.dumps({"standing": standing[: LARGEST // 8], "running": running[:shown]}).encode() + b"\n"
        if len(text) <= LARGEST:
            break
    return text
