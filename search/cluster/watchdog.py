"""Notices when a search can't go on, as Ray is gone or says nothing, where Ray itself would wait for ever.

A kill of a driver loses nothing (docs/reliability.md). So the cure is the same whatever the main thread waits for: this
process becomes a new driver, which resumes the run with a new Ray; or, on a cluster, which is not ours to start again,
it ends.
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

RESTARTED = "BABELTUNE_RESTARTED"  # how often in a row, in the environment
MOST_RESTARTS = 3
# Processes of Ray without which nothing runs; the raylet ends when one of its agents does.
VITAL = ("gcs_server", "raylet")
LOOK_SECONDS = 1.0
SILENT_SECONDS = 60.0  # that the head of a cluster may not answer


class Watchdog:
    """Watches while the block runs, in a thread. Also a listener of the work, which tells of reports."""

    def __init__(
        self,
        run_dir: Path,
        lock: DriverLock,
        cluster: str | None,
        patience: float | None,
        command: list[str] | None = None,
    ):
        """Watch from now on.

        patience: seconds without a report while trials run, after which the search starts again; None for any.
        command: becomes the new driver; by default the one that resumes the run.
        """
        self.lock = lock
        self.run_dir, self.cluster, self.patience = run_dir, cluster, patience
        program = str(Path(__file__).parents[1] / "run.py")
        self.command = command or [sys.executable, program, "resume", str(run_dir)]
        self._ended = threading.Event()
        self._running: set[int] = set()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        self._head: str = ray.get_runtime_context().gcs_address
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def trial_started(self, trial: StudyTrial) -> None:
        self._hear(trial, going=True)

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        self._hear(trial, going=True)
        os.environ.pop(RESTARTED, None)  # so it has gone on

    def trial_parked(self, trial: StudyTrial) -> None:
        self._hear(trial, going=False)

    def trial_ended(self, trial: StudyTrial) -> None:
        self._hear(trial, going=False)

    def _hear(self, trial: StudyTrial, going: bool) -> None:
        self._heard = time.monotonic()
        (self._running.add if going else self._running.discard)(trial.number)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if (reason := self._fault()) and not self._ended.is_set():
                self._give_up(reason) if self.cluster or self.lock.lost else self._start_anew(reason)

    def _fault(self) -> str | None:
        """Why the search can't go on; None if it can, as far as can be seen."""
        if self.cluster is None and (dead := [kind for kind in dead_processes() if kind in VITAL]):
            return f"a process of Ray has died ({', '.join(dead)})"
        if self.cluster is not None and not self._answers():
            return f"the cluster's head, {self._head}, has not answered for {SILENT_SECONDS:g} s"
        if not self.run_dir.is_dir():
            return f"{self.run_dir} is gone"
        if self.lock.lost:
            return "another driver, on another machine, has taken this search over"
        silence = time.monotonic() - self._heard
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

    def _start_anew(self, reason: str) -> None:
        restarts = int(os.environ.get(RESTARTED, "0")) + 1
        if restarts > MOST_RESTARTS or not self.run_dir.is_dir():
            self._give_up(reason)
        warn(f"{reason}; the search goes on with a new one")
        kill_processes()
        os.environ[RESTARTED] = str(restarts)
        # It asks for no --trust: what is known of the run stands in the environment, too (`trust.py`).
        os.execv(self.command[0], self.command)

    def _give_up(self, reason: str) -> None:
        give_up(f"{reason}; nothing is lost: fix it, then go on by `{program('resume')} {self.run_dir}`")
