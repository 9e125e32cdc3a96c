"""Append-only JSON lines: whole lines or nothing."""

import errno
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainables.base.files import parse_json, read_bytes, sync, unwritable
from trainables.base.sealing import Damaged, sealed, unsealed


def device_seconds(line: dict[str, Any]) -> float:
    """Seconds of training and validation, times the devices that the trial had: half an hour on a quarter of a GPU
    is 450 s."""
    return float((line["train_seconds"] + line["eval_seconds"]) * line.get("devices", 1.0))


class Totals:
    """What lines of a journal add up to: the last epoch of each trial, `device_seconds`."""

    def __init__(self, lines: Iterable[dict[str, Any]] = ()):
        self.epochs, self.seconds = 0.0, 0.0
        self.epochs_of: dict[int, float] = {}
        self.seconds_of: defaultdict[int, float] = defaultdict(float)
        for line in lines:
            self.add(line)

    def add(self, line: dict[str, Any]) -> None:
        trial, seconds = line["trial"], device_seconds(line)
        self.epochs += line["epoch"] - self.epochs_of.get(trial, 0)
        self.epochs_of[trial] = line["epoch"]
        self.seconds += seconds
        self.seconds_of[trial] += seconds


class Journal:
    """One line per report of a trial. A pair of trial and epoch is written once, however often it is reported."""

    def __init__(self, file: Path):
        """Open or create; a last line torn by a crash is cut off. Raises Damaged for a line that is not as written."""
        self.file = file
        self.lines, whole = _read_whole_lines(file)
        self._file = file.open("ab", buffering=0)
        sync(file.parent)  # which may have it only now
        self._file.truncate(whole)
        self._written = {(line["trial"], line["epoch"]): line for line in self.lines}
        self._totals, self._counted = Totals(), 0

    def append(self, line: dict[str, Any]) -> dict[str, Any]:
        """Write a line with "trial" and "epoch", on disk when the call returns, unless there is one of both.

        Returns the line that stands in the journal. Raises UserError for a full disk.
        """
        key = (line["trial"], line["epoch"])
        if key in self._written:
            return self._written[key]
        try:
            data = json.dumps(sealed(line)).encode() + b"\n"
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:  # a torn line, if there is one, is cut off when the file is next opened
            raise unwritable(self.file, error) from error
        self._written[key] = line
        self.lines.append(line)
        return line

    @property
    def totals(self) -> Totals:
        """The sums over all lines so far."""
        for line in self.lines[self._counted :]:
            self._totals.add(line)
        self._counted = len(self.lines)
        return self._totals

    def close(self) -> None:
        self._file.close()


def _read_whole_lines(file: Path) -> tuple[list[dict[str, Any]], int]:
    """And how many bytes they are; a last line may be torn."""
    content = read_bytes(file) if file.exists() else b""
    *whole, torn = content.split(b"\n")
    return [_read(line, f"{file}: line {number}") for number, line in enumerate(whole, 1)], len(content) - len(torn)


def _read(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = unsealed(parse_json(line), where)
        return {**record, "trial": int(record["trial"]), "epoch": record["epoch"] + 0}
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{where} is damaged: no report of a trial; restore the file from a copy") from None


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a journal, without a change to it; none if it does not exist. Raises Damaged."""
    return _read_whole_lines(file)[0]
