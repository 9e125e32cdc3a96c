"""Checkpoints that are whole or absent: written beside, synced, renamed; their size is checked when read."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

KEEP = 2  # the newest, and the one before it in case the newest is torn


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any], report: dict[str, Any]) -> None:
    """Write folder/epoch-N with the training state and that epoch's report, and drop old ones."""
    final, draft = folder / f"epoch-{epoch}", folder / ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with (draft / "state.pt").open("wb") as file:
        torch.save(state, file)
        _sync(file.fileno())
        size = file.tell()
    with (draft / "report.json").open("w") as file:
        json.dump({"epoch": epoch, "size": size, "report": report}, file)
        file.flush()
        _sync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)  # only ever a torn one: training goes on after the newest valid
    draft.rename(final)
    descriptor = os.open(folder, os.O_RDONLY)
    _sync(descriptor)
    os.close(descriptor)
    for old in _checkpoints(folder)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint and its report; None if there is none."""
    for path in _checkpoints(folder):
        try:
            meta = json.loads((path / "report.json").read_text())
            if (path / "state.pt").stat().st_size == meta["size"]:
                return path, meta["report"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint; tensors and plain values alone, never arbitrary objects."""
    state: dict[str, Any] = torch.load(path / "state.pt", map_location=device, weights_only=True)
    return state


def _checkpoints(folder: Path) -> list[Path]:
    """All of a folder, whole or torn, the newest first."""
    numbers = (path.name.removeprefix("epoch-") for path in folder.glob("epoch-*"))
    return [folder / f"epoch-{n}" for n in sorted((int(n) for n in numbers if n.isdigit()), reverse=True)]


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
