"""Checkpoints that are whole or absent: written beside, synced, renamed; their content is checked when read."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch

from trainables.base.checkpoint_files import KEEP, REPORT, STATE, checkpoints_of
from trainables.base.files import create_folder, digest_of, publish_folder
from trainables.base.sealing import sealed


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
    torch.save(state, draft / STATE)
    with (draft / REPORT).open("w") as file:
        json.dump(sealed({unit: number, "sha256": digest_of(draft / STATE), "report": report}), file)
    publish_folder(draft, final)  # one of the name is torn: training goes on after the newest whole one
    for old in checkpoints_of(folder)[max(KEEP, keep) :]:
        shutil.rmtree(old, ignore_errors=True)


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint; tensors and plain values alone, never arbitrary objects."""
    state: dict[str, Any] = torch.load(path / STATE, map_location=device, weights_only=True)
    return state
