"""Append-only JSON lines: whole lines or nothing."""

import json
import os
from pathlib import Path
from typing import Any

from trainables.errors import UserError


class Journal:
    """One line per report of a trial. A pair of trial and epoch is written once, however often it is reported."""

    def __init__(self, file: Path):
        """Open or create; a last line torn by a crash is cut off. Raises UserError for a line that is not JSON."""
        self.lines: list[dict[str, Any]] = []
        whole = 0
        for line in file.read_bytes().splitlines(keepends=True) if file.exists() else []:
            if not line.endswith(b"\n"):
                break
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                number = len(self.lines) + 1
                raise UserError(f"{file}: line {number} is not JSON; remove it, or restore the file") from None
            whole += len(line)
        self._file = file.open("ab")
        self._file.truncate(whole)
        self._written = {(line["trial"], line["epoch"]) for line in self.lines}

    def append(self, line: dict[str, Any]) -> None:
        """Write a line with "trial" and "epoch"; on disk when the call returns."""
        key = (line["trial"], line["epoch"])
        if key in self._written:
            return
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._written.add(key)
        self.lines.append(line)

    def close(self) -> None:
        self._file.close()


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a journal; none if it does not exist."""
    if not file.exists():
        return []
    journal = Journal(file)
    journal.close()
    return journal.lines
