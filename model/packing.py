"""Matrices in the order in which oneDNN reads them, for decoding on a CPU.

Uses parts of PyTorch that are not public; tests/test_decoding.py tests them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

ROWS = 200  # for which oneDNN chooses the order; any number may be multiplied
AVAILABLE = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
)


@contextmanager
def packed(model: nn.Module) -> Iterator[None]:
    """Multiply by packed matrices within, in all linear layers in single precision that lie on a CPU.

    Their weights must not change within, and get no gradients. PyTorch's own products by MKL are slower where there are
    few rows, and on processors that are not Intel's (docs/performance.md).
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and _fits(layer.weight)]
    for layer in layers:
        matrix = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
        layer.forward = partial(_product, matrix, layer.bias)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _fits(weight: Tensor) -> bool:
    return AVAILABLE and weight.device.type == "cpu" and weight.dtype == torch.float32


def _product(matrix: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """(…, inputs) -> (…, outputs)."""
    return torch.ops.mkldnn._linear_pointwise(x, matrix, bias, "none", [], "")
