"""The type of the numbers in a training step's matrix products. Weights, gradients and optimizer are in float32."""

import torch

from trainables.base.translator_config import Precision


def autocast(device: torch.device, precision: Precision, cache_enabled: bool = True) -> torch.autocast:
    """The context of a forward pass.

    cache_enabled: whether weights that are used again are cast once.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=in_bfloat16(device, precision), cache_enabled=cache_enabled
    )


def in_bfloat16(device: torch.device, precision: Precision) -> bool:
    """Whether products are in bfloat16: `auto` takes it on GPUs that compute it, but not where it is emulated."""
    if precision != "auto":
        return precision == "bf16"
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
