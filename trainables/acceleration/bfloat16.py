"""How much sooner a CPU takes training steps with products in bfloat16, measured on the first batches of a training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from statistics import median

import torch

from trainables.acceleration.captured import choose_step
from trainables.base.errors import UserError
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import Precision
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.preparing import prepare
from trainables.training.device import CPU

PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")
LEAST_WIDTH = 128  # narrower models spend too little of a step in products, and are not measured
MOST_TOKENS = 1024  # of a batch, as one of a large model takes seconds; larger ones gain more
TURNS = 3  # each on another batch, as a new shape has costs of its own
SIZE = 512  # of the square matrices that tell whether the processor has instructions for bfloat16


def gain_of_bfloat16(config: TranslationConfig, cache: Path) -> float:
    """The CPU seconds of a step in float32 over those in bfloat16, on one thread.

    1 where it can't be worth its cost, and for a model that can't be trained here.
    """
    if config.model.d_model < LEAST_WIDTH or gain_of_products() <= 1:
        return 1.0
    try:
        with _one_thread():
            return _gain_of_steps(config, cache)
    except (UserError, RuntimeError):  # such as a lack of memory; the trial itself will say so
        return 1.0


def gain_of_products() -> float:
    """The same for a matrix product alone; below 1 on a processor that only emulates bfloat16."""
    left, right = torch.randn(2, SIZE, SIZE)
    rounded = left.bfloat16(), right.bfloat16()
    with _one_thread():
        return _fastest(lambda: left @ right) / _fastest(lambda: rounded[0] @ rounded[1])


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _gain_of_steps(config: TranslationConfig, cache: Path) -> float:
    prepared = prepare(config.data, config.tokenizer, cache)
    if config.training.batch_tokens is not None:
        config = config.with_values({"training.batch_tokens": min(config.training.batch_tokens, MOST_TOKENS)})
    steps = [choose_step(config.with_values({"training.precision": each}), prepared, CPU) for each in PRECISIONS]
    for step in steps:
        step.begin(config.seed)
    epochs = (training_batches(prepared.train, config.training, config.seed, epoch) for epoch in count(1))
    gains = []
    for source, target in islice(chain.from_iterable(epochs), 1 + TURNS):
        single, rounded = (_seconds(partial(step, source, target, 1e-6)) for step in steps)
        gains.append(single / rounded)
    return median(gains[1:])


def _fastest(call: Callable[[], object]) -> float:
    return min(_seconds(call) for _ in range(1 + TURNS))


def _seconds(call: Callable[[], object]) -> float:
    """The seconds of this thread, in which PyTorch computes, also backwards."""
    started = time.thread_time()
    call()
    return time.thread_time() - started
