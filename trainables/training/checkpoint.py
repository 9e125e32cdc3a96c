"""Checkpoints that are whole or absent: written beside, synced, renamed; their content is checked when read."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch

from model.transformer import Transformer
from trainables.base.checkpoint_files import KEEP, REPORT, STATE, checkpoints_of, last_checkpoints
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.files import create_folder, digest_of, publish_folder
from trainables.base.sealing import sealed
from trainables.data.preparing import prepare
from trainables.data.tokenizer import Tokenizer
from trainables.training.device import CPU
from trainables.training.learner import build_model


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


def load_model(
    config: TrialConfig, cache: Path, checkpoints: Path, device: torch.device = CPU, averaged: int = 1
) -> tuple[Transformer, Tokenizer]:
    """The model of the newest checkpoint, or the mean of so many last ones, ready to translate.

    Raises UserError if there are none.
    """
    found = last_checkpoints(checkpoints, averaged)
    if not found:
        raise UserError(
            f"{checkpoints}: holds no whole checkpoint; it was removed; restore it, or train again under another name"
        )
    prepared = prepare(config.data, config.tokenizer, cache)
    model = build_model(config, prepared, device)
    model.load_state_dict(average_weights(found, device))
    return model.eval(), prepared.tokenizer
