"""Steps as CUDA graphs: captured once for each shape of a batch, then launched by one call.

The models are small, so a GPU would wait for each of a step's hundreds of kernels; a graph launches all at once.
Capturing computes nothing, but the first call of a kernel can't be captured, so each shape is computed once before.
"""

import copy
import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD
from trainables.training.learner import Learner

Compute = Callable[[Tensor, Tensor], None]  # of source (K, B, S) and target (K, B, T), ids
Size = tuple[int, int, int]  # B, S, T


@dataclass(frozen=True)
class Capturable:
    """A computation that can be captured."""

    step: Compute  # works on tensors that stay where they are, and never waits for the GPU
    rehearse: Compute  # calls the same kernels, and changes nothing but the state of random numbers
    generators: Sequence[torch.Generator]  # that the step draws from, besides PyTorch's own


class StepGraphs:
    """A graph for each of the given sizes of batches."""

    def __init__(self, computation: Capturable, models: int, sizes: Iterable[Size], device: torch.device):
        """Capture the step of K models once for each size."""
        self._inputs: dict[Size, tuple[Tensor, Tensor]] = {}
        self._graphs: dict[Size, torch.cuda.CUDAGraph] = {}
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        memory = torch.cuda.graph_pool_handle()  # shared by all, as one runs at a time
        torch.cuda.synchronize(device)
        with torch.cuda.stream(stream):
            for pairs, source_length, target_length in sorted(sizes, key=math.prod, reverse=True):
                source = torch.full((models, pairs, source_length), PAD, device=device)
                target = torch.full((models, pairs, target_length), PAD, device=device)
                source[..., 0], target[..., 0], target[..., 1] = EOS, BOS, EOS
                computation.rehearse(source, target)
                self._inputs[pairs, source_length, target_length] = source, target
            with _capturing(device):
                for size, inputs in self._inputs.items():
                    graph = torch.cuda.CUDAGraph()
                    for generator in computation.generators:
                        graph.register_generator_state(generator)
                    graph.capture_begin(pool=memory)
                    try:
                        computation.step(*inputs)
                    except BaseException:
                        with suppress(RuntimeError):  # of an incomplete capture
                            graph.capture_end()
                        raise
                    graph.capture_end()
                    self._graphs[size] = graph
        torch.cuda.synchronize(device)

    def __call__(self, source: Tensor, target: Tensor) -> None:
        """source: (K, B, S), target: (K, B, T), ids on the device, of a size that was captured."""
        size = (*source.shape[1:], target.shape[2])
        for place, ids in zip(self._inputs[size], (source, target), strict=True):
            place.copy_(ids, non_blocking=True)
        self._graphs[size].replay()


@contextmanager
def _capturing(device: torch.device) -> Iterator[None]:
    """Let steps be captured in the block.

    Frees the memory of the rehearsals before it, as that can't be freed during a capture, and keeps Python from freeing
    the graphs of an earlier trial, which would end the capture.
    """
    torch.cuda.synchronize(device)
    gc.collect()
    torch.cuda.empty_cache()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make_capturable(learner: Learner) -> None:
    """Give everything that a step reads and writes a fixed place in memory, so that the step can be captured."""
    for parameter in learner.model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.zero_()
    for group in learner.optimizer.groups:
        group.rate = torch.zeros((), device=learner.model.output.weight.device)
    before = copy.deepcopy(learner.optimizer.state_dict()["state"])
    averages = learner.average.tensors if learner.average else []
    kept = [tensor.clone() for tensor in averages]
    learner.clip_and_step()  # rate 0 and no gradient: creates the optimizer's state, keeps the weights
    for number, values in learner.optimizer.state_dict()["state"].items():
        for name, tensor in values.items():
            tensor.copy_(before[number][name] if before else torch.zeros_like(tensor))
    for tensor, values in zip(averages, kept, strict=True):
        tensor.copy_(values)
    learner.optimizer.capturable = True
