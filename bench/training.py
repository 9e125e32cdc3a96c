"""Training on a CPU thread against JoeyNMT, torch.nn.Transformer and Hugging Face's Marian: `make bench`.

All have the same weights, loss, optimizer and text, and are timed in turns by the CPU seconds of whole steps; ours also
in bfloat16. "Own batches" are those of each system: ours have similar lengths, JoeyNMT's and the others' are in random
order, as from their loaders; batches are made before the timing. --data DIR takes the training text of Multi30k (or
files of the same names) in place of random tokens in sentences as long as those of Multi30k.
"""

import argparse
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from peers import JoeyNMT, Marian, Ours, OursInBfloat16, System, TorchTransformer, tokens
from timing import Task, per_cpu_second, print_ratios
from torch import Tensor
from trial import bench_model, corpus_options

from model.special_tokens import BOS, EOS
from model.transformer import Transformer
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.sequences import EncodedSplit, Sequences

VOCABULARY, SMOOTHING = 8000, 0.1
BATCH_SENTENCES = 30  # as many target tokens a step as ours
SINGLE = (Ours, JoeyNMT, TorchTransformer, Marian)  # in single precision
SYSTEMS = (Ours, OursInBfloat16, JoeyNMT, TorchTransformer, Marian)
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Size:
    data: Path | None
    cache: Path
    layers: int
    d_model: int
    steps: int  # per turn
    rounds: int


def training_text(size: Size) -> EncodedSplit:
    if size.data is None:
        return made_up_text(10_000)
    config = TranslationConfig().with_values(corpus_options(size.data))
    text = prepare(config.data, config.tokenizer, size.cache).train
    return text.part(0)  # all of a text of up to 131,072 pairs


def made_up_text(pairs: int) -> EncodedSplit:
    """Random ids in sentences of the lengths that English and French have in Multi30k: 15 ± 4.6 and 18 ± 5.7."""
    rng = np.random.default_rng(1)
    source = np.clip(rng.normal(15, 4.6, pairs), 4, 48).round().astype(int)
    target = np.clip(1.18 * source + rng.normal(0, 2.7, pairs), 4, 60).round().astype(int)

    def ids(lengths: np.ndarray, start: list[int]) -> Sequences:
        pieces = (rng.integers(EOS + 1, VOCABULARY, length - 1, dtype=np.int32) for length in lengths)
        return Sequences.pack([np.array([*start, *row, EOS], dtype=np.int32) for row in pieces])

    return EncodedSplit(ids(source, []), ids(target, [BOS]))


def in_random_order(text: EncodedSplit, longest_times_pairs: int | None = None) -> Iterator[Batch]:
    """Batches of so many sentences, or by JoeyNMT's rule: full when pairs × longest side reach the number."""
    lengths = np.maximum(text.source.lengths, text.target.lengths - 1)
    rows: list[int] = []
    for row in np.random.default_rng(2).permutation(len(text)):
        rows.append(row)
        size, limit = (
            (len(rows), BATCH_SENTENCES)
            if longest_times_pairs is None
            else (lengths[rows].max() * len(rows), longest_times_pairs)
        )
        if size >= limit:
            source, target = (side.padded(np.array(rows)) for side in (text.source, text.target))
            yield torch.from_numpy(source), torch.from_numpy(target)
            rows = []


def our_batches(text: EncodedSplit) -> Iterator[Batch]:
    return training_batches(text, TranslationConfig().training, 1, 1)


def own_batches(name: str, text: EncodedSplit) -> Iterator[Batch]:
    if name in (Ours.name, OursInBfloat16.name):
        return our_batches(text)
    by_tokens = (TranslationConfig().training.batch_tokens or 0) // 2  # as many target tokens a step as ours
    return in_random_order(text, by_tokens if name == JoeyNMT.name else None)


def training_steps(name: str, size: Size, own: bool) -> Task:
    """A task that takes `size.steps` optimizer steps and returns the target tokens in them."""
    logging.disable()
    warnings.simplefilter("ignore")
    text = training_text(size)
    system = build(name, size)
    chosen = own_batches(name, text) if own else our_batches(text)
    batches = cycle(list(islice(chosen, size.steps * (size.rounds + 1))))
    optimizer = torch.optim.Adam(system.module.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True)
    parameters = [parameter for parameter in system.module.parameters() if parameter.requires_grad]

    def step(source: Tensor, target: Tensor) -> int:
        optimizer.zero_grad()
        system.loss(source, target, SMOOTHING).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return tokens(target)

    return lambda: sum(step(*batch) for batch in islice(batches, size.steps))


def build(name: str, size: Size) -> System:
    torch.manual_seed(1)
    model = Transformer(bench_model(size.layers, size.d_model), VOCABULARY, VOCABULARY)
    (make,) = (system for system in SYSTEMS if system.name == name)
    return make(model)


def check_equal(size: Size) -> None:
    """Check that the systems compute the same function: their likelihoods of a batch agree without dropout."""
    batch = next(our_batches(training_text(size)))
    losses = []
    for system in (build(system.name, size) for system in SINGLE):
        system.module.eval()
        with torch.no_grad():
            losses.append(system.loss(*batch, 0.0))
    torch.testing.assert_close(losses, [losses[0]] * len(losses), rtol=1e-4, atol=0)


def main(size: Size) -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    check_equal(size)
    shape = f"{size.layers} + {size.layers} layers, d_model {size.d_model}, vocabulary {VOCABULARY}"
    for title, own in (("own batches", True), ("the same batches", False)):
        makers = {system.name: partial(training_steps, system.name, size, own) for system in SYSTEMS}
        print_ratios(f"Training on {title}: {shape}", per_cpu_second(makers, size.rounds), "target tokens")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of a corpus")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache"), help="of its tokenizer")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--d_model", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10, help="a turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each, whose median counts")
    main(Size(**vars(parser.parse_args())))
