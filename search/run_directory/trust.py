"""Whose run it is, and what is not followed of a run of somebody else before it was looked at.

A run directory is data: whoever made it chose each byte of it. So what a user has said of a run is kept elsewhere, in a
file of the user's state folder for each run, named by the id that the run directory has. It holds the values that were
said, not only the id: an id can be copied out of a run that was published.
"""

import json
import os
import re
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from pydantic import BaseModel

from search.settings.experiment import Experiment
from trainables.base.config import flatten
from trainables.base.errors import UserError
from trainables.base.files import write_atomically
from trainables.base.log import warn

RUN_ID = "run_id"  # in the run directory and its storage
KEPT = "BABELTUNE_KNOWN"  # in the environment: what is known of its run, for the driver that the watchdog starts
BASE_URL = "tracking.base_url"
# Keys by which a run reaches code or other machines, and what each means. Where one is at its default nothing happens.
FOLLOWED = {
    "storage": "the run is sent there",
    "cluster": "its machines get the corpus, and can run code here",
    "teardown": "ends that cluster",
    "finals.neural_metric": "is imported and called",
    "search.sampler.kind": "is imported and called",
    "search.scheduler.kind": "is imported and called",
    BASE_URL: "a server that gets scores, report and samples of the text",
    "tracking.entity": "an account that gets them",
}
PUBLISHED = ("storage", BASE_URL, "tracking.entity")  # all that `publish` follows
ALL = tuple(FOLLOWED)


class Known(BaseModel):
    """What is known of a run: for each key in dotted form all values that were trusted, and those that were said."""

    trusted: dict[str, list[Any]] = {}
    said: dict[str, list[Any]] = {}  # the user's own word
    places: list[str] = []  # folders in which it was resumed

    def add(self, values: dict[str, Any], said: Collection[str]) -> None:
        for key, value in values.items():
            for known in (self.trusted, self.said) if key in said else (self.trusted,):
                if value not in known.setdefault(key, []):
                    known[key].append(value)


def followed(experiment: Experiment, keys: Collection[str] = ALL) -> dict[str, Any]:
    """Those of the keys that are set, with their values; a kind only if it is the user's, as module:Name."""
    values = flatten(experiment.model_dump(mode="json"))
    kinds = [key for key in keys if key.endswith(".kind") and ":" not in values[key]]
    return {key: values[key] for key in keys if values[key] not in (None, False) and key not in kinds}


def check_trust(stored: Experiment, given: Collection[str], keys: Collection[str] = ALL) -> None:
    """Raises UserError if a stored experiment has values that the user of this machine has neither set nor trusted.

    given: keys that the command line sets, which are not looked at.
    """
    known = _read(_run_id(stored.run_dir))
    doubtful = [
        f"{key}: {_legible(value)}  ({FOLLOWED[key]})"
        for key, value in followed(stored, keys).items()
        if key not in given and value not in known.trusted.get(key, [])
    ]
    if str(stored.run_dir.resolve()) not in known.places:
        doubtful += _links_out(stored.run_dir)
    if doubtful:
        lines = "".join(f"\n  {line}" for line in doubtful)
        raise UserError(
            f"{stored.run_dir}: is not known here as a run of yours, and reaches code, machines or files beyond itself:"
            f"{lines}\nlook at them, then add --trust, or override them by --KEY VALUE"
        )


def remember(experiment: Experiment, said: Collection[str], keys: Collection[str] = ALL) -> None:
    """Note for this user that these keys of a run may be followed as they are; the run gets an id if it has none.

    The lock of the run directory must be held. said: the keys that the user set, in this command or the configuration
    of a new search.
    """
    values, run_id = followed(experiment, keys), _run_id(experiment.run_dir)
    if run_id is None:
        run_id = uuid.uuid4().hex
        write_atomically(experiment.run_dir / RUN_ID, run_id)
    known = _read(run_id)
    known.add(values, said)
    if (place := str(experiment.run_dir.resolve())) not in known.places:
        known.places.append(place)
    noted, os.environ[KEPT] = KEPT in os.environ, json.dumps({run_id: known.model_dump()})
    try:
        _write(run_id, known)
    except OSError as error:
        if values and not noted:
            where = f"{error.filename}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            warn(f"{reason}: so it can't be noted that this run is yours, and `resume` will ask for --trust")


def remember_storage(run_dir: Path, url: str) -> None:
    """Note that a run may be sent to the storage from which the user has fetched it, by its address there."""
    if run_id := _run_id(run_dir):
        known = _read(run_id)
        known.add({"storage": url.rstrip("/").rpartition("/")[0]}, said=())
        with suppress(OSError):  # then it is asked for
            _write(run_id, known)


def is_said(run_dir: Path, key: str, value: Any) -> bool:
    """Whether the value is the user's own word, and not only trusted."""
    return value in _read(_run_id(run_dir)).said.get(key, [])


def _run_id(run_dir: Path) -> str | None:
    """None for a run of an earlier version, or one whose id is damaged."""
    file = run_dir / RUN_ID
    text = file.read_text(errors="replace") if file.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None


def _read(run_id: str | None) -> Known:
    if run_id is None:
        return Known()
    try:
        inherited: dict[str, Any] = json.loads(os.environ.get(KEPT, "{}"))
        return Known.model_validate(inherited.get(run_id) or json.loads(_file(run_id).read_text(encoding="utf-8")))
    except (OSError, ValueError):  # nothing is known, then
        return Known()


def _links_out(run_dir: Path) -> list[str]:
    """Links through which files outside of the run would be read or written, and where they lead.

    Not those within wandb/, where W&B itself makes links to its logs.
    """
    inside = run_dir.resolve()
    return [
        f"{_legible(link.relative_to(run_dir))} -> {_legible(link.readlink())}  (a link out of the run)"
        for link in sorted(path for path in run_dir.rglob("*") if path.is_symlink())
        if run_dir / "wandb" not in link.parents and not link.resolve().is_relative_to(inside)
    ]


def _legible(value: object) -> str:
    """Without what would write over other lines of a terminal."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _write(run_id: str, known: Known) -> None:
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
