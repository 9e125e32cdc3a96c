"""What a user has said of runs, kept in the user's state folder: a run directory may be somebody else's.

A file for each run, named by the id that the run directory has. It holds the values that were said, not only the id: an
id can be copied out of a run that was published.
"""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from pydantic import BaseModel

from trainables.base.files import write_atomically

RUN_ID = "run_id"  # in the run directory and its storage
KEPT = "BABELTUNE_KNOWN"  # in the environment: what is known of its run, for the driver that the watchdog starts


class Known(BaseModel):
    """What is known of a run: for each key in dotted form all values that were trusted, and those that were said."""

    trusted: dict[str, list[Any]] = {}
    said: dict[str, list[Any]] = {}  # the user's own word
    places: list[str] = []  # folders in which it was resumed

    def add(self, values: dict[str, Any], said: Collection[str]) -> None:
        """Note values as trusted, and those that the user set as said."""
        for key, value in values.items():
            for known in (self.trusted, self.said) if key in said else (self.trusted,):
                if value not in known.setdefault(key, []):
                    known[key].append(value)


def run_id_of(run_dir: Path) -> str | None:
    """None for a run of an earlier version, or one whose id is damaged."""
    file = run_dir / RUN_ID
    text = file.read_text(errors="replace") if file.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None


def read_known(run_id: str | None) -> Known:
    """What is known of a run; nothing if its id is None or unknown."""
    if run_id is None:
        return Known()
    try:
        inherited: dict[str, Any] = json.loads(os.environ.get(KEPT, "{}"))
        return Known.model_validate(inherited.get(run_id) or json.loads(_file(run_id).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # nothing is known, then
        return Known()


def write_known(run_id: str, known: Known) -> None:
    """Raises OSError."""
    file = _file(run_id)
    file.parents[2].mkdir(parents=True, exist_ok=True)
    for folder in (file.parents[1], file.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_atomically(file, known.model_dump_json(indent=1))


def _file(run_id: str) -> Path:
    """Where it is kept what is known of a run. Raises OSError for a place that is not the user's alone."""
    folder = user_state_path("babeltune", appauthor=False) / "runs"
    if not folder.is_absolute():
        raise OSError("this user has no home folder")
    if folder.exists() and ((facts := folder.stat()).st_uid != os.getuid() or facts.st_mode & 0o022):
        raise OSError(f"{folder}: others can write there")
    return folder / f"{run_id}.json"
