"""The record of a run's inputs: digests of data and of what was made from them, versions, and machines."""

import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.run_directory.trust import FOLLOWED
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from search.settings.stored import is_sealed, read_seal, seal_of
from trainables.base.config import TrialConfig, flatten
from trainables.base.files import digest_of
from trainables.base.installed import processor, version_of
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.user_code import file_of

INPUTS = "inputs.json"
CODE = tuple(key for key, meaning in FOLLOWED.items() if meaning.startswith("is imported"))
PACKAGES = ("babeltune", "torch", "ray", "optuna", "sentencepiece", "sacrebleu")


def pin_inputs(experiment: Experiment) -> list[str]:
    """Record the splits and this start in the run, or compare them with its record. Returns sentences on differences.

    Raises UserError if the run was made from other text, Damaged if the record is damaged.
    """
    run_dir = experiment.run_dir
    file = run_dir / INPUTS
    begun = (run_dir / "study.db").exists() and is_sealed(run_dir / "experiment.yaml")
    record = read_sealed(file) if begun or file.exists() else {}
    preparation: Preparation = experiment.definition.part("preparation")
    splits = preparation.pin_data(experiment, record.get("splits", {}))
    before, start = record.get("starts", []), {**_this_start(), **_own_code(experiment)}
    # The experiment is written after this; until then the file has the previous one.
    experiments = [_known_experiment(run_dir / "experiment.yaml", record), seal_of(experiment)]
    started = {"starts": [*before, start], "experiments": experiments}
    write_sealed(file, {"splits": splits, "tokenizers": {}, **record, **started})
    differing = _differing([*before[-1:], start])
    return [f"{name} is {start[name]} now, and was {before[-1].get(name)}" for name in differing]


def _known_experiment(file: Path, record: dict[str, Any]) -> str | None:
    """The seal of the run's experiment; None if there is none yet. Raises Damaged for a record of another run."""
    if not is_sealed(file):
        return None
    if (seal := read_seal(file)) not in record.get("experiments", [seal]):
        raise Damaged(f"{file}: belongs to another run, or to another state of this one; restore it from a copy")
    return seal


def recorded_splits(run_dir: Path) -> dict[str, Any]:
    """What the record says of each split. Raises Damaged if the record is damaged or missing."""
    splits: dict[str, Any] = _record_of(run_dir).get("splits", {})
    return splits


def _record_of(run_dir: Path) -> dict[str, Any]:
    """The record of a run; empty for one of version 0.1, which kept none. Raises Damaged."""
    file = run_dir / INPUTS
    return read_sealed(file) if file.exists() or is_sealed(run_dir / "experiment.yaml") else {}


def pin_made(experiment: Experiment, configs: Sequence[TrialConfig]) -> None:
    """Record what was made from the data for these trials, or compare it with the record of the run.

    Raises UserError if it differs.
    """
    file = experiment.run_dir / INPUTS
    record = read_sealed(file)
    known: dict[str, Any] = record["tokenizers"]
    preparation: Preparation = experiment.definition.part("preparation")
    found = preparation.pin_made(experiment, configs, known, record["starts"][0])
    if found != known:
        write_sealed(file, {**record, "tokenizers": found})


def read_starts(run_dir: Path) -> list[dict[str, Any]]:
    """The drivers' starts: when, the versions, and the machine of each. Raises Damaged."""
    starts: list[dict[str, Any]] = _record_of(run_dir).get("starts", [])
    return starts


def describe_starts(run_dir: Path) -> list[str]:
    """Sentences on versions and machines that changed during the run."""
    starts = read_starts(run_dir)
    return [
        f"the run used {name} {', then '.join(dict.fromkeys(str(start.get(name)) for start in starts))}"
        for name in _differing(starts)
    ]


def _differing(starts: list[dict[str, Any]]) -> list[str]:
    return [name for name in starts[-1] if name != "at" and len({str(start.get(name)) for start in starts}) > 1]


def _own_code(experiment: Experiment) -> dict[str, str]:
    """Digests of the user's files that the experiment names as module:Name."""
    values = flatten(experiment.model_dump(mode="json"))
    keys = [*CODE, *(key for key in values if re.fullmatch(r"metrics\.\w+\.kind", key))]
    names = {str(values.get(key)) for key in keys if ":" in str(values.get(key))}
    return {f"the code of {name}": digest_of(file)[:16] for name in sorted(names) if (file := file_of(name))}


def _this_start() -> dict[str, Any]:
    import torch  # seconds, and a live report reads the record

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **{name: version_of(name) for name in PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "device": device,
    }
