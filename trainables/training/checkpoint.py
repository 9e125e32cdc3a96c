"""Checkpoints that are complete or absent: written to a draft, synced, renamed; checked when they are read."""

from pathlib import Path
from typing import Any

import torch

from trainables.base.checkpoint_files import KEEP, STATE, new_draft, publish_checkpoint
from trainables.base.files import digest_of
from trainables.base.report import Unit


def save_checkpoint(
    folder: Path,
    unit: Unit,
    number: int,
    state: dict[str, Any],
    report: dict[str, Any],
    keep: int = KEEP,
) -> None:
    """Write folder/epoch-N, step-N or token-N with the training state and its report, and keep the last `keep`."""
    draft = new_draft(folder)
    torch.save(state, draft / STATE)
    content = {"sha256": digest_of(draft / STATE), "report": report}
    publish_checkpoint(draft, f"{unit}-{number}", content, keep)


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint; only tensors and plain values, never arbitrary objects."""
    state: dict[str, Any] = torch.load(path / STATE, map_location=device, weights_only=True)
    return state
