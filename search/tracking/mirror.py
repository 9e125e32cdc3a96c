"""Mirrors the feed to W&B in a process of its own, so that training never waits for a server."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from search.run_directory.trust import BASE_URL, is_said
from search.settings.experiment import Experiment
from search.tracking.tracked import Destination
from trainables.base.installed import program
from trainables.base.log import say, warn
from trainables.base.temporary import temporary_folder

RETRY_SECONDS = 60.0
LONGEST_CALL = 30.0
INTERRUPTED_SECONDS = 10.0  # the longest wait if Ctrl-C or an error ends the search
STRAY = ("WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_DIR")  # the configuration decides these


class Mirror:
    """Keeps a follower (`follower.py`) alive while the block runs, and gives it a limited time at the end.

    A follower that fails reports why and ends. A new one starts a minute later, and once more at the end. It reads the
    feed from the start and asks the server what it has, so nothing is sent twice. No error of it ends the search.
    """

    def __init__(self, experiment: Experiment):
        """The feed must exist. Raises OSError if there is no space for temporary files."""
        tracking, patience = experiment.tracking, experiment.tracking.flush_seconds
        self.run_dir, self.patience = experiment.run_dir, patience
        self.reason = ""  # why the last follower failed
        self.missing = "all of this search"
        self.complete = False
        self._said: set[str] = set()  # messages that new followers would repeat
        assert tracking.wandb != "disabled"
        self._stack = ExitStack()
        destination = Destination(
            mode=tracking.wandb,
            project=tracking.project,
            entity=tracking.entity,
            tags=tracking.tags,
            notes=tracking.notes,
            scratch=str(self._stack.enter_context(temporary_folder())),
            patience=min(LONGEST_CALL, patience / 2),
            base_url=tracking.base_url,
            any_key=is_said(self.run_dir, BASE_URL, tracking.base_url),
        )
        self._command = [sys.executable, "-P", "-m", "search.tracking.follower"]
        self._command += [str(self.run_dir), json.dumps(asdict(destination))]
        stray = STRAY[1:] if tracking.wandb == "auto" else STRAY
        self._environment = {name: value for name, value in os.environ.items() if name not in stray}
        self._environment |= {"WANDB_ERROR_REPORTING": "false"}  # otherwise an offline run looks up a host
        # W&B reads settings from wandb/ in its working directory, and those in RUN/wandb may come from somebody else.
        inside = Path.cwd().is_relative_to(self.run_dir.resolve())
        self._cwd = destination.scratch if inside else None
        self._closing = threading.Event()
        self._follower: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._supervise, name=f"W&B of {self.run_dir}", daemon=True)

    def __enter__(self) -> "Mirror":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(self.patience if kind is None else min(self.patience, INTERRUPTED_SECONDS))

    def publish(self) -> None:
        """Send the whole feed, however long it takes; only single calls have a time limit."""
        self._closing.set()
        self._thread.start()
        self._end(None)

    def _end(self, patience: float | None) -> None:
        self._closing.set()
        if self._follower:
            _close(self._follower.stdin)
        self._thread.join(patience)
        if self._thread.is_alive():
            self.reason = self.reason or f"it did not take everything within {patience:g} s"
            if self._follower:
                with suppress(ProcessLookupError):
                    os.killpg(self._follower.pid, signal.SIGKILL)
        self._stack.close()
        if not self.complete:
            warn(
                f"W&B lacks {self.missing} ({self.reason or 'its process died'}); the run directory has everything: "
                f"send it by `{program('publish')} {self.run_dir}`"
            )

    def _supervise(self) -> None:
        while not self.complete:
            last = self._closing.is_set()
            try:
                self._follow()
            except OSError as error:  # no process can be started
                self._take({"failed": f"{sys.executable}: {error.strerror}"})
            if last:
                return
            self._closing.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        with subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,  # closed when the search is over
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment,
            cwd=self._cwd,
            start_new_session=True,  # the driver handles Ctrl-C
        ) as follower:
            self._follower = follower
            if self._closing.is_set():
                _close(follower.stdin)
            assert follower.stdout
            for line in follower.stdout:
                if line.endswith("\n"):  # otherwise the follower was killed while it wrote
                    self._take(json.loads(line))
            _close(follower.stdin)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"say": text} if text not in self._said:
                self._said.add(text)
                say(text)
            case {"missing": text}:
                self.missing = text
            case {"complete": _}:
                self.complete = True
            case {"failed": reason}:
                if not self.reason and not self._closing.is_set():
                    warn(f"W&B: {reason}; the search continues, and this is tried again")
                self.reason = reason


def _close(pipe: IO[str] | None) -> None:
    with suppress(OSError):
        if pipe:
            pipe.close()
