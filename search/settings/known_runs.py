"""The values that a user set or trusted in each run, kept in the user's state folder.

They are not kept in the run directory, which may come from somebody else. Each run has a file, named by the id in its
directory. The id alone would not do, as it can be copied from a published run.
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
KEPT = "BABELTUNE_KNOWN"  # an environment variable that hands this to the driver that the watchdog starts


class Known(BaseModel):
    """What is known of a run: for each dotted key the values that were trusted, and those that the user set."""

    trusted: dict[str, list[Any]] = {}
    said: dict[str, list[Any]] = {}  # set by the user
    places: list[str] = []  # folders in which it was resumed

    def add(self, values: dict[str, Any], said: Collection[str]) -> None:
        """Add values to the trusted ones; those of the keys in `said`, which the user set, also to `said`."""
        for key, value in values.items():
            for known in (self.trusted, self.said) if key in said else (self.trusted,):
                if value not in known.setdefault(key, []):
                    known[key].append(value)


def run_id_of(run_dir: Path) -> str | None:
    """The id of a run; None if an earlier version made the run, or the id is damaged."""
    file = run_dir / RUN_ID
    text = file.read_text(errors="replace") if file.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None


def read_known(run_id: str | None) -> Known:
    """What is known of a run; an empty `Known` if its id is None or unknown."""
    if run_id is None:
        return Known()
    try:
        inherited: dict[str, Any] = json.loads(os.environ.get(KEPT, "{}"))
        return Known.model_validate(inherited.get(run_id) or json.loads(_file(run_id).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # such as no file
        return Known()


def write_known(run_id: str, known: Known) -> None:
    """Write what is known of a run. Raises OSError."""
    file = _file(run_id)
    file.parents[2].mkdir(parents=True, exist_ok=True)
    for folder in (file.parents[1], file.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_atomically(file, known.model_dump_json(indent=1))


def _file(run_id: str) -> Path:
    """The file of a run. Raises OSError if others can write to its folder."""
    folder = user_state_path("babeltune", appauthor=False) / "runs"
    if not folder.is_absolute():
        raise OSError("this user has no home folder")
    if folder.exists() and ((facts := folder.stat()).st_uid != os.getuid() or facts.st_mode & 0o022):
        raise OSError(f"{folder}: others can write there")
    return folder / f"{run_id}.json"
