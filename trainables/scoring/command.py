"""A metric as a command, which may have an environment of its own. It is started once and stays alive between texts.

For each sentence the command gets a line of JSON with the keys source, translation and reference, and prints a number.
An empty line ends a text: then it prints the scores that are missing, and an empty line, and flushes its output.
"""

import json
import os
import shlex
import subprocess
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread

from trainables.base.errors import UserError, shortened
from trainables.base.metric_config import CommandMetric

KEPT = 20  # of the last lines of its error output
SHOWN = 3  # of them in a message


class CommandScorer:
    """Asks a process for scores; see `trainables.scoring.metrics.Scorer`."""

    @staticmethod
    def check(key: str, settings: CommandMetric) -> None:
        """Start the command, and have one sentence scored. Raises UserError."""
        scorer = CommandScorer(key, settings)
        scorer(["One."], ["Un."], ["Un."])
        scorer.end()

    def __init__(self, key: str, settings: CommandMetric):
        self._key, self._settings = key, settings
        self._running: _Running | None = None

    def __call__(
        self, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]
    ) -> Sequence[float]:
        """The score of each sentence. Raises UserError for a command that dies, hangs, or prints anything else."""
        lines = [
            json.dumps({"source": source, "translation": translation, "reference": reference}, ensure_ascii=False)
            for source, translation, reference in zip(sources, translations, references, strict=True)
        ]
        if self._running is None:
            self._running = self._start()
        try:
            return self._scores(self._running, lines)
        except BaseException:  # what it still prints belongs to this text
            self.end()
            raise

    def end(self) -> None:
        """End the command; the next text starts it again."""
        if self._running:
            self._running.end()
            self._running = None

    def _start(self) -> "_Running":
        settings = self._settings
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if settings.device == "cpu" else {}
        try:
            return _Running(
                subprocess.Popen(
                    shlex.split(settings.command),
                    cwd=settings.folder,
                    env={**os.environ, **hidden},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                )
            )
        except (OSError, ValueError) as error:  # no such program or folder; a quote that does not end
            raise UserError(f"{self._key}: {settings.command!r} can't be started: {error}") from None

    def _scores(self, running: "_Running", lines: list[str]) -> list[float]:
        """The scores of a text. Raises UserError unless there is one for each line."""
        running.send("".join(f"{line}\n" for line in (*lines, "")))
        scores: list[float] = []
        while True:
            try:
                line = running.printed.get(timeout=self._settings.timeout_seconds)
            except Empty:
                silence = f"printed nothing for {self._settings.timeout_seconds:g} s (timeout_seconds)"
                raise self._error(f"{silence}, after {len(scores)} of {len(lines)} scores") from None
            if line is None:
                raise self._error(f"ended after {len(scores)} of {len(lines)} scores{running.last_words()}")
            if not line.strip():
                break
            try:
                scores.append(float(line))
            except ValueError:
                raise self._error(f"printed {shortened(line.strip())!r}, which is not a number") from None
        if len(scores) != len(lines):
            raise self._error(f"printed {len(scores)} scores for {len(lines)} sentences before its empty line")
        return scores

    def _error(self, what: str) -> UserError:
        return UserError(f"{self._key}: {self._settings.command!r} {what}; fix it, then resume")


class _Running:
    """A process, and threads that write to it and read what it prints, so that no full pipe stops both."""

    def __init__(self, process: "subprocess.Popen[str]"):
        self.process = process
        self.printed: SimpleQueue[str | None] = SimpleQueue()  # lines; None after the last one
        self._errors: deque[str] = deque(maxlen=KEPT)
        self._reading_errors = Thread(target=self._read_errors, daemon=True)
        self._reading_errors.start()
        Thread(target=self._read, daemon=True).start()

    def send(self, text: str) -> None:
        """Write text to the process, without waiting for it."""
        Thread(target=self._write, args=(text,), daemon=True).start()

    def last_words(self) -> str:
        """How a process that ends has ended: its exit status, and the last lines of its error output."""
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it has only closed its output
            return ""
        self._reading_errors.join(timeout=5)
        said = " / ".join(line.strip() for line in list(self._errors)[-SHOWN:] if line.strip())
        return f", with status {status}" + (f": {shortened(said)}" if said else "")

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()

    def _write(self, text: str) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except (OSError, ValueError):  # it has ended, as `printed` shows
            return

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.printed.put(line)
        self.printed.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr
        self._errors.extend(self.process.stderr)
