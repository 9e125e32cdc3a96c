"""A trained model, read from its checkpoints."""

from pathlib import Path

import torch

from model.transformer import Transformer
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.data.preparing import prepare
from trainables.data.tokenizer import Tokenizer
from trainables.training.checkpoint import average_weights, last_checkpoints
from trainables.training.device import CPU
from trainables.training.learner import build_model


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
