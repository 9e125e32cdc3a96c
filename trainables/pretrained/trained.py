"""Fine-tuned models, read from checkpoints or folders, and written as folders of `from_pretrained`."""

from pathlib import Path
from typing import Any

import torch

from trainables.base.checkpoint_files import last_checkpoints
from trainables.base.errors import UserError
from trainables.base.pretrained_config import FineTunedConfig, PretrainedConfig
from trainables.pretrained.codec import Codec, load_codec
from trainables.pretrained.fine_tuning import FineTuner
from trainables.pretrained.model_files import locate
from trainables.pretrained.network import merge
from trainables.pretrained.quiet import quiet
from trainables.training.trained import average_weights


def load_trained(
    config: FineTunedConfig, checkpoints: Path, device: torch.device, averaged: int = 1
) -> tuple[Any, Codec]:
    """The model of the newest checkpoint, or the mean of the last `averaged` ones, with merged adapters.

    With adapters it is the mean of the merged matrices, as the mean of factors is not that of their products. Raises
    UserError if there are no checkpoints.
    """
    found = last_checkpoints(checkpoints, averaged)
    if not found:
        raise UserError(f"{checkpoints}: has no complete checkpoint; restore it, or train again under another name")
    codec = load_codec(config.pretrained)
    groups = [[each] for each in found] if config.tuning == "lora" else [found]
    network = _merged(config, codec, groups[0], device)
    with torch.no_grad():
        for number, group in enumerate(groups[1:], 2):
            other = _merged(config, codec, group, device)
            for mean, parameter in zip(network.parameters(), other.parameters(), strict=True):
                mean.lerp_(parameter, 1 / number)
    return network, codec


def _merged(config: FineTunedConfig, codec: Codec, checkpoints: list[Path], device: torch.device) -> Any:
    """The model with the mean of what was trained, in checkpoints, with merged adapters."""
    tuner = FineTuner(config, codec, device)
    tuner.load_weights(average_weights(checkpoints, device))
    return merge(tuner.model).eval()


@quiet()
def read_merged(settings: PretrainedConfig, device: torch.device) -> tuple[Any, Codec]:
    """The model of a folder, without adapters, in single precision. Raises UserError."""
    from transformers import AutoModelForSeq2SeqLM

    folder = locate(settings)
    network = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return network.to(device).eval(), load_codec(settings)


@quiet()
def save_merged(network: Any, codec: Codec, folder: Path, beam_size: int, length_penalty: float) -> None:
    """Write a model, its tokenizer and its decoding for `from_pretrained`."""
    settings = network.generation_config
    settings.num_beams, settings.length_penalty = beam_size, length_penalty
    settings.early_stopping, settings.do_sample = beam_size > 1, False
    settings.forced_bos_token_id = codec.forced
    network.save_pretrained(folder)
    codec.tokenizer.save_pretrained(folder)
