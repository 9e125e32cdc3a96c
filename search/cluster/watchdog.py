"""Notices when a search can't continue because Ray is gone or hangs, in which case Ray itself waits for ever.

A killed driver loses nothing (docs/reliability.md). So there is one remedy, whatever the main thread waits for: this
process becomes a new driver, which resumes the run with a new Ray. On a cluster, which is not ours to restart, the
process ends instead.
"""

import os
import socket
import sys
import threading
import time
from pathlib import Path

import ray

from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from trainables.base.ending import give_up
from trainables.base.installed import program
from trainables.base.locks import DriverLock
from trainables.base.log import warn
from trainables.base.ray_internals import dead_processes, kill_processes

RESTARTED = "BABELTUNE_RESTARTED"  # an environment variable: the number of restarts in a row
MOST_RESTARTS = 3
# Ray needs these processes; the raylet ends if one of its agents does.
VITAL = ("gcs_server", "raylet")
LOOK_SECONDS = 1.0
SILENT_SECONDS = 60.0  # the longest time in which the head of a cluster may not answer


class Watchdog:
    """Watches in a thread while the block runs. It is also a listener of the work, to notice reports."""

    def __init__(
        self,
        run_dir: Path,
        lock: DriverLock,
        cluster: str | None,
        patience: float | None,
        command: list[str] | None = None,
    ):
        """patience: after so many seconds without a report, while trials run, the search is restarted; None: never.

        command: starts the new driver; by default it resumes the run.
        """
        self.lock = lock
        self.run_dir, self.cluster, self.patience = run_dir, cluster, patience
        program = str(Path(__file__).parents[1] / "run.py")
        self.command = command or [sys.executable, program, "resume", str(run_dir)]
        self._ended = threading.Event()
        self._running: set[int] = set()
        self._last_event = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        self._head: str = ray.get_runtime_context().gcs_address
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def trial_started(self, trial: StudyTrial) -> None:
        self._note(trial, going=True)

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        self._note(trial, going=True)
        os.environ.pop(RESTARTED, None)  # the last restart has helped

    def trial_parked(self, trial: StudyTrial) -> None:
        self._note(trial, going=False)

    def trial_ended(self, trial: StudyTrial) -> None:
        self._note(trial, going=False)

    def _note(self, trial: StudyTrial, going: bool) -> None:
        self._last_event = time.monotonic()
        (self._running.add if going else self._running.discard)(trial.number)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if (reason := self._fault()) and not self._ended.is_set():
                self._give_up(reason) if self.cluster or self.lock.lost else self._restart(reason)

    def _fault(self) -> str | None:
        """Why the search can't continue; None if no fault is seen."""
        if self.cluster is None and (dead := [kind for kind in dead_processes() if kind in VITAL]):
            return f"a process of Ray has died ({', '.join(dead)})"
        if self.cluster is not None and not self._answers():
            return f"the cluster's head, {self._head}, has not answered for {SILENT_SECONDS:g} s"
        if not self.run_dir.is_dir():
            return f"{self.run_dir} is gone"
        if self.lock.lost:
            return "another driver, on another machine, has taken this search over"
        silence = time.monotonic() - self._last_event
        if self.patience and self._running and silence > self.patience:
            return f"no trial has reported for {silence:.0f} s (search.watchdog_seconds)"
        return None

    def _answers(self) -> bool:
        deadline = time.monotonic() + SILENT_SECONDS
        host, port = self._head.rsplit(":", 1)
        while time.monotonic() < deadline and not self._ended.is_set():
            try:
                socket.create_connection((host, int(port)), timeout=10).close()
                return True
            except OSError:
                self._ended.wait(LOOK_SECONDS)
        return self._ended.is_set()

    def _restart(self, reason: str) -> None:
        restarts = int(os.environ.get(RESTARTED, "0")) + 1
        if restarts > MOST_RESTARTS or not self.run_dir.is_dir():
            self._give_up(reason)
        warn(f"{reason}; the search restarts")
        kill_processes()
        os.environ[RESTARTED] = str(restarts)
        # It needs no --trust, as the environment has what is known of the run (`trust.py`).
        os.execv(self.command[0], self.command)

    def _give_up(self, reason: str) -> None:
        give_up(f"{reason}; nothing is lost: fix it, then resume by `{program('resume')} {self.run_dir}`")
