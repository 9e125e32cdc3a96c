"""Protects the user from runs of somebody else: some keys are only followed once the user trusts them.

A run directory is data, and its author chose every byte of it. So what a user set or trusted is kept elsewhere, see
`known_runs.py`.
"""

import json
import os
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.settings.experiment import Experiment
from search.settings.known_runs import KEPT, RUN_ID, read_known, run_id_of, write_known
from trainables.base.config import flatten
from trainables.base.errors import UserError
from trainables.base.files import write_atomically
from trainables.base.log import warn

BASE_URL = "tracking.base_url"
# Keys by which a run reaches code or other machines, and what each does. At its default a key does nothing.
CODE = "is imported; it trains and tests"
FOLLOWED = {
    "storage": "the run is sent there",
    "cluster": "its machines get the corpus, and can run code here",
    "teardown": "ends that cluster",
    "problem": CODE,
    "command": "its programs are started",
    "metrics": "these are imported or started, or their models loaded",
    "finals.neural_metric": "is imported and called",
    "search.sampler.kind": "is imported and called",
    "search.scheduler.kind": "is imported and called",
    BASE_URL: "this server gets scores, report and samples of the text",
    "tracking.entity": "this account gets them",
}
WHOLE = ("command", "metrics")  # sections that are trusted as one value
PUBLISHED = ("storage", BASE_URL, "tracking.entity")  # the keys that `publish` follows
ALL = tuple(FOLLOWED)


def followed(experiment: Experiment, keys: Collection[str] = ALL) -> dict[str, Any]:
    """The keys that are set, with their values; kinds only if they are user code (module:Name)."""
    tree = experiment.model_dump(mode="json")
    values = {**flatten(tree), **{key: tree.get(key) or None for key in WHOLE}}
    ours = [key for key in keys if (key == "problem" or key.endswith(".kind")) and ":" not in values[key]]
    return {key: value for key in keys if (value := values.get(key)) not in (None, False) and key not in ours}


def check_trust(stored: Experiment, given: Collection[str], keys: Collection[str] = ALL) -> None:
    """Raises UserError if a stored experiment has values that the user of this machine has neither set nor trusted.

    given: keys that the command line sets, which are not checked.
    """
    known = read_known(run_id_of(stored.run_dir))
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
            f"{stored.run_dir}: is not known here as a run of yours, and uses code, machines or files outside of it:"
            f"{lines}\ncheck them, then add --trust, or override them by --KEY VALUE"
        )


def remember(experiment: Experiment, said: Collection[str], keys: Collection[str] = ALL) -> None:
    """Note for this user that these keys of a run are trusted; give the run an id if it has none.

    The lock of the run directory must be held. said: the keys that the user set, in this command or the configuration
    of a new search.
    """
    values, run_id = followed(experiment, keys), run_id_of(experiment.run_dir)
    if run_id is None:
        run_id = uuid.uuid4().hex
        write_atomically(experiment.run_dir / RUN_ID, run_id)
    known = read_known(run_id)
    known.add(values, said)
    if (place := str(experiment.run_dir.resolve())) not in known.places:
        known.places.append(place)
    noted, os.environ[KEPT] = KEPT in os.environ, json.dumps({run_id: known.model_dump()})
    try:
        write_known(run_id, known)
    except OSError as error:
        if values and not noted:
            where = f"{error.filename}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            warn(f"{reason}: so it can't be noted that this run is yours, and `resume` will ask for --trust")


def remember_storage(run_dir: Path, url: str) -> None:
    """Note that a run may be sent to the storage that the user fetched it from. url: its address there."""
    if run_id := run_id_of(run_dir):
        known = read_known(run_id)
        known.add({"storage": url.rstrip("/").rpartition("/")[0]}, said=())
        with suppress(OSError):  # then the user is asked later
            write_known(run_id, known)


def is_said(run_dir: Path, key: str, value: Any) -> bool:
    """Whether the user set this value, and did not only trust it."""
    return value in read_known(run_id_of(run_dir)).said.get(key, [])


def _links_out(run_dir: Path) -> list[str]:
    """Links to files outside of the run, which would be read or written, with their targets.

    Links in wandb/ are left out, as W&B links to its own logs there.
    """
    inside = run_dir.resolve()
    return [
        f"{_legible(link.relative_to(run_dir))} -> {_legible(link.readlink())}  (a link out of the run)"
        for link in sorted(path for path in run_dir.rglob("*") if path.is_symlink())
        if run_dir / "wandb" not in link.parents and not Path(os.path.realpath(link)).is_relative_to(inside)
    ]


def _legible(value: object) -> str:
    """The value as text, without characters that would overwrite other lines of a terminal."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
