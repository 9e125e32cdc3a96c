"""Checkpoints that are complete or absent: written to a draft, synced, renamed; checked when they are read."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from trainables.base.checkpoint_files import KEEP, REPORT, STATE, checkpoints_of
from trainables.base.files import create_folder, digest_of, publish_folder
from trainables.base.report import Unit
from trainables.base.sealing import sealed


def save_checkpoint(
    folder: Path,
    unit: Unit,
    number: int,
    state: dict[str, Any],
    report: dict[str, Any],
    keep: int = KEEP,
) -> None:
    """Write folder/epoch-N, step-N or token-N with the training state and its report, and keep the last `keep`."""
    final, draft = folder / f"{unit}-{number}", folder / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    create_folder(draft)
    torch.save(state, draft / STATE)
    with (draft / REPORT).open("w") as file:
        json.dump(sealed({unit: number, "sha256": digest_of(draft / STATE), "report": report}), file)
    publish_folder(draft, final)  # an existing one is incomplete: training continues after the newest complete one
    for old in checkpoints_of(folder)[max(KEEP, keep) :]:
        shutil.rmtree(old, ignore_errors=True)


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint; only tensors and plain values, never arbitrary objects."""
    state: dict[str, Any] = torch.load(path / STATE, map_location=device, weights_only=True)
    return state
