"""The journal of a study, trials.jsonl or finals.jsonl: one line for each report."""

import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables.base.files import parse_json, read_bytes, sync, unwritable
from trainables.base.report import EpochReport, read_report
from trainables.base.sealing import Damaged, sealed, unsealed


@dataclass(frozen=True)
class JournalLine:
    """A report of a trial, as the driver took it."""

    trial: int
    report: EpochReport
    clock: float | None = None  # the time of `search.deterministic`, see `ordering.py`
    time: str | None = None  # UTC, in ISO format; None in lines of version 0.1

    def figures(self) -> dict[str, float | None]:
        """The numbers of the report by name."""
        return {**self.report.stored(), **({} if self.clock is None else {"clock": self.clock})}

    def stored(self) -> dict[str, Any]:
        """The line as it is in the file, without its checksum."""
        return {"trial": self.trial, **self.figures(), **({} if self.time is None else {"time": self.time})}


def make_line(trial: int, report: EpochReport, clock: float | None = None) -> JournalLine:
    """A line for a report, with the present time."""
    return JournalLine(trial, report, clock, datetime.now(UTC).isoformat(timespec="seconds"))


class Totals:
    """Sums over lines of a journal: the epochs trained and the device seconds, of each trial and of all."""

    def __init__(self, lines: Iterable[JournalLine] = ()):
        self.epochs, self.seconds = 0.0, 0.0
        self.epochs_of: dict[int, float] = {}
        self.seconds_of: defaultdict[int, float] = defaultdict(float)
        for line in lines:
            self.add(line)

    def add(self, line: JournalLine) -> None:
        """Add a line to the sums."""
        trial, report = line.trial, line.report
        if not report.repeats:
            self.epochs += report.epoch - self.epochs_of.get(trial, 0)
        self.epochs_of[trial] = report.epoch
        self.seconds += report.device_seconds
        self.seconds_of[trial] += report.device_seconds


class Journal:
    """A file with a line for each report. Each epoch of a trial is written once, even if it is reported again."""

    def __init__(self, file: Path):
        """Open or create the file; an incomplete last line is cut off. Raises Damaged for a line that was changed."""
        self.file = file
        self.lines, whole = _read_whole_lines(file)
        self._file = file.open("ab", buffering=0)
        sync(file.parent)  # the file may be new there
        self._file.truncate(whole)
        self._written = {(line.trial, line.report.epoch): line for line in self.lines}
        self._start_counting()

    def append(self, line: JournalLine) -> JournalLine:
        """Write a line, unless the journal has one for its trial and epoch; it is on disk when the call returns.

        Returns the line that the journal has. Raises UserError for a full disk.
        """
        key = (line.trial, line.report.epoch)
        if key in self._written:
            return self._written[key]
        try:
            data = json.dumps(sealed(line.stored())).encode() + b"\n"
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:  # an incomplete line is cut off when the file is opened again
            raise unwritable(self.file, error) from error
        self._written[key] = line
        self.lines.append(line)
        return line

    def _start_counting(self) -> None:
        self._totals, self._counted = Totals(), 0

    @property
    def totals(self) -> Totals:
        """The sums over all lines so far."""
        for line in self.lines[self._counted :]:
            self._totals.add(line)
        self._counted = len(self.lines)
        return self._totals

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _read_whole_lines(file: Path) -> tuple[list[JournalLine], int]:
    """The complete lines, and their number of bytes; the last line may be incomplete."""
    content = read_bytes(file) if file.exists() else b""
    *whole, torn = content.split(b"\n")
    return [_read(line, f"{file}: line {number}") for number, line in enumerate(whole, 1)], len(content) - len(torn)


def _read(line: bytes, where: str) -> JournalLine:
    try:
        record = dict(unsealed(parse_json(line), where))
        trial, clock, time = int(record.pop("trial")), record.pop("clock", None), record.pop("time", None)
        return JournalLine(trial, read_report(record), clock, time)
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{where} is damaged: no report of a trial; restore the file from a copy") from None


def read_lines(file: Path) -> list[JournalLine]:
    """The lines of a journal, which is not changed; none if there is no file. Raises Damaged."""
    return _read_whole_lines(file)[0]
