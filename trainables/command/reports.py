"""The reports of a trainer: figures by step, read from lines by patterns, from JSON lines, or from one JSON value."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError, shortened
from trainables.base.report import TAKEN
from trainables.command.description import LOG, ReportsConfig
from trainables.command.lines import NewLines

Figures = dict[int, dict[str, float]]  # by step


class ReportReader:
    """Collects what a trainer reports while it runs."""

    def __init__(self, settings: ReportsConfig, metrics: Collection[str], folder: Path):
        """metrics: figures that must be numbers. folder: in which the reports are."""
        self._settings, self._metrics, self._folder = settings, metrics, folder
        self._patterns = [re.compile(pattern) for pattern in settings.patterns]
        self._lines: dict[Path, NewLines] = {}
        self._seen: tuple[Path, int, int] | None = None  # the file of a JSON value, its time and size
        self._step: int | None = None  # of the last line with a step
        self._fault: str | None = None
        self.figures: Figures = {}

    def read(self, printed: Iterable[str], to_the_end: bool = False) -> None:
        """Read what is new. A figure that was reported before stays as it was.

        printed: new lines of the log. to_the_end: whether the trainer has ended.
        """
        if self._settings.file == LOG:
            self._take_lines(printed)
            return
        with suppress(FileNotFoundError):  # of a checkpoint that was removed just now
            self._read_newest(to_the_end)

    def check(self) -> None:
        """Raises UserError if a step or a figure was reported that is not a number."""
        if self._fault is not None:
            raise UserError(self._fault)

    def _read_newest(self, to_the_end: bool) -> None:
        files = [path for path in self._folder.glob(self._settings.file) if path.is_file()]
        if not files:
            return
        newest = max(files, key=lambda path: (path.stat().st_mtime_ns, path))
        if self._settings.entries is not None:
            self._take_entries(newest)
        else:
            lines = self._lines.setdefault(newest, NewLines(newest))
            self._take_lines(lines.read(to_the_end))

    def _take_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._patterns:
                self._take_matches(line)
            elif line.lstrip().startswith("{"):
                try:
                    self._take_record(json.loads(line))
                except ValueError:  # a trainer may print anything else
                    continue

    def _take_matches(self, line: str) -> None:
        found: dict[str, str] = {}
        for pattern in self._patterns:
            if matched := pattern.search(line):
                found |= {name: text for name, text in matched.groupdict().items() if text is not None}
        if (step := found.pop("step", None)) is not None:
            self._step = self._whole(step)
        if self._step is not None:
            for name, text in found.items():
                self._take(self._step, name, text)

    def _take_entries(self, file: Path) -> None:
        facts = file.stat()
        if (seen := (file, facts.st_mtime_ns, facts.st_size)) == self._seen:
            return
        try:
            records = json.loads(file.read_text(encoding="utf-8", errors="replace"))[self._settings.entries]
        except (ValueError, KeyError, TypeError, FileNotFoundError):  # it is being written
            return
        self._seen = seen
        for record in records if isinstance(records, list) else ():
            self._take_record(record)

    def _take_record(self, record: Any) -> None:
        if not isinstance(record, Mapping) or self._settings.step not in record:
            return
        step, names = self._whole(record[self._settings.step]), self._settings.names
        if step is None:
            return
        for key, value in record.items():
            name = names.get(key, str(key))
            if key != self._settings.step and (name in self._metrics or isinstance(value, int | float)):
                self._take(step, name, value)

    def _take(self, step: int, name: str, value: Any) -> None:
        if name in TAKEN:  # such as the trainer's own count of epochs
            return
        known = self.figures.setdefault(step, {})
        if name not in known:
            try:
                known[name] = float(value)
            except (TypeError, ValueError):
                said = shortened(str(value))
                self._fault = self._fault or f"it reports {said!r} as {name} at step {step}, which is not a number"

    def _whole(self, step: Any) -> int | None:
        """A step as a whole number; None if it is none."""
        with suppress(TypeError, ValueError, OverflowError):
            if float(step) == int(float(step)):
                return int(float(step))
        said = shortened(str(step))
        self._fault = self._fault or f"it reports the step {said!r}, which is not a whole number"
        return None
