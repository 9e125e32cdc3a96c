"""Trained models, read from their checkpoints."""

from pathlib import Path

import torch

from model.transformer import Transformer
from trainables.base.checkpoint_files import last_checkpoints
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.training.checkpoint import load_state
from trainables.training.device import CPU
from trainables.training.learner import build_model


def average_weights(paths: list[Path], device: torch.device) -> dict[str, torch.Tensor]:
    """The mean of the weights in these checkpoints; tensors that are not floating-point are from the first.

    Averaging the last checkpoints of one training: Vaswani et al. 2017, section 6.1.
    """
    mean: dict[str, torch.Tensor] = load_state(paths[0], device)["model"]
    sums = {name: tensor.double() for name, tensor in mean.items() if tensor.is_floating_point()}
    for path in paths[1:]:
        weights = load_state(path, device)["model"]
        sums = {name: total + weights[name] for name, total in sums.items()}
    return mean | {name: (total / len(paths)).to(mean[name].dtype) for name, total in sums.items()}


def load_model(
    config: TranslationConfig, cache: Path, checkpoints: Path, device: torch.device = CPU, averaged: int = 1
) -> tuple[Transformer, Tokenizer]:
    """The model of the newest checkpoint, or the mean of the last `averaged` ones, in eval mode, and its tokenizer.

    Raises UserError if there are none.
    """
    found = last_checkpoints(checkpoints, averaged)
    if not found:
        raise UserError(f"{checkpoints}: has no complete checkpoint; restore it, or train again under another name")
    prepared = prepare(config.data, config.tokenizer, cache)
    model = build_model(config, prepared, device)
    model.load_state_dict(average_weights(found, device))
    return model.eval(), prepared.tokenizer
