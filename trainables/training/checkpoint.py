"""Checkpoints that are whole or absent: written beside, synced, renamed; their content is checked when read."""

import json
import pickle
import re
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from trainables.base.files import create_folder, digest_of, publish_folder, unwritable
from trainables.base.sealing import Damaged, read_sealed, sealed

KEEP = 2  # the newest, and the one before it in case the newest is torn


def save_checkpoint(
    folder: Path,
    unit: Literal["epoch", "step"],
    number: int,
    state: dict[str, Any],
    report: dict[str, Any],
    keep: int = KEEP,
) -> None:
    """Write folder/epoch-N or step-N with the training state and the report made there, and keep the `keep` last."""
    final, draft = folder / f"{unit}-{number}", folder / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    create_folder(draft)
    torch.save(state, draft / "state.pt")
    with (draft / "report.json").open("w") as file:
        json.dump(sealed({unit: number, "sha256": digest_of(draft / "state.pt"), "report": report}), file)
    publish_folder(draft, final)  # one of the name is torn: training goes on after the newest whole one
    for old in _checkpoints(folder)[max(KEEP, keep) :]:
        shutil.rmtree(old, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path, number: int) -> None:
    """Copy the checkpoint of that number from one folder into another, where it must be the newest.

    Raises Damaged if it is missing or torn, UserError for a full disk.
    """
    found = newest_of(source, number)
    draft = target / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        create_folder(target)
        shutil.copytree(found[0], draft)
        publish_folder(draft, target / found[0].name)
    except OSError as error:  # shutil.Error, too
        raise unwritable(target, error) from error


def newest_of(folder: Path, number: int) -> tuple[Path, dict[str, Any]]:
    """The newest whole checkpoint and its report. Raises Damaged if it is not the one of that number."""
    found = newest_checkpoint(folder)
    if found is None or checkpoint_number(found[0].name) != number:
        raise Damaged(f"{folder}: its checkpoint {number} is missing or damaged; restore it from a copy")
    return found


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint and its report; None if there is none."""
    return next(_whole_checkpoints(folder), None)


def common_checkpoints(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The newest whole checkpoints, with their reports, that the folders have of one age; none if there are none."""
    for path in _checkpoints(folders[0]) if folders else ():
        found = [whole for folder in folders if (whole := whole_checkpoint(folder / path.name))]
        if len(found) == len(folders):
            return found
    return []


def last_checkpoints(folder: Path, count: int) -> list[Path]:
    """The newest `count` whole checkpoints, or as many as there are, the newest first."""
    return [path for path, _ in islice(_whole_checkpoints(folder), count)]


def average_weights(paths: list[Path], device: torch.device) -> dict[str, torch.Tensor]:
    """The mean of the models' weights in these checkpoints; of what is no number the first's.

    Averaging the last checkpoints of one training: Vaswani et al. 2017, section 6.1.
    """
    mean: dict[str, torch.Tensor] = load_state(paths[0], device)["model"]
    sums = {name: tensor.double() for name, tensor in mean.items() if tensor.is_floating_point()}
    for path in paths[1:]:
        weights = load_state(path, device)["model"]
        sums = {name: total + weights[name] for name, total in sums.items()}
    return mean | {name: (total / len(paths)).to(mean[name].dtype) for name, total in sums.items()}


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint; tensors and plain values alone, never arbitrary objects."""
    state: dict[str, Any] = torch.load(path / "state.pt", map_location=device, weights_only=True)
    return state


def _whole_checkpoints(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """With their reports, the newest first."""
    return filter(None, map(whole_checkpoint, _checkpoints(folder)))


def whole_checkpoint(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """With its report; None if it is torn, or not there."""
    try:
        meta = read_sealed(path / "report.json")
        if "sha256" not in meta:  # of an earlier version, of which nothing more can be known than that it can be read
            load_state(path, torch.device("cpu"))
        elif digest_of(path / "state.pt") != meta["sha256"]:
            return None
        return path, meta["report"]
    except (Damaged, OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None


def _checkpoints(folder: Path) -> list[Path]:
    """All of a folder, whole or torn, the newest first."""
    found = (path for path in folder.glob("*") if checkpoint_number(path.name) is not None)
    return sorted(found, key=lambda path: -(checkpoint_number(path.name) or 0))


def checkpoint_number(name: str) -> int | None:
    """The number in "epoch-3" or "step-3"; None for a name that is not a checkpoint's."""
    match = re.fullmatch(r"(?:epoch|step)-(\d+)", name)
    return int(match[1]) if match else None
