"""Training in bfloat16 against float32 on a CPU thread: the speed of a step, and BLEU over paired seeds.

python bench/precision.py [--steps-only] [--data DIR] [--seeds 3]

Speed is counted by CPU seconds of whole steps, in turns (bench/timing.py). BLEU is that of one small model of the
embedded corpus, or of Multi30k (10,000 pairs) with --data, trained with the same seeds in each precision.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import torch
from timing import Task, one_thread, per_cpu_second, print_ratios
from trial import bench_model, corpus_options

from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import Precision
from trainables.data.encoding.preparing import prepare
from trainables.training.loop import EagerStep, train

PRECISIONS: tuple[Precision, ...] = ("bf16", "float32")
STEPS, ROUNDS = 10, 9
SOURCE, TARGET = 22, 26  # tokens of each sentence
SHAPES = ((1, 64, 16), (1, 128, 16), (2, 128, 40), (2, 256, 40), (3, 512, 40))  # layers, d_model, pairs of a batch


def steps_of(precision: Precision, layers: int, d_model: int, pairs: int, data: Path | None, cache: Path) -> Task:
    config = TranslationConfig(model=bench_model(layers, d_model)).with_values(
        corpus_options(data) | {"training.precision": precision}
    )
    prepared = prepare(config.data, config.tokenizer, cache)
    step = EagerStep(config, prepared, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    source, target = (
        torch.randint(4, prepared.tokenizer.source_vocab, (pairs, length), generator=generator)
        for length in (SOURCE, TARGET)
    )

    def task() -> int:
        for _ in range(STEPS):
            step(source, target, 1e-4)
        return STEPS * target.numel()

    step.begin(1)
    return task


def bleu_of(precision: Precision, seed: int, data: Path | None, cache: Path) -> float:
    small = {"model.d_model": 128, "model.ffn_dim": 512, "training.epochs": 6, "seed": seed}
    options = corpus_options(data) | small | {"training.precision": precision, "tokenizer.vocab_size": 2000}
    if data:
        options["data.limit"] = 10_000
    config = TranslationConfig().with_values(options)
    reports = [report for report, _ in train(config, prepare(config.data, config.tokenizer, cache))]
    return reports[-1].score("valid_bleu")


def main(steps_only: bool, data: Path | None, seeds: int) -> None:
    one_thread()
    with TemporaryDirectory() as folder:
        cache = Path(folder)
        for layers, d_model, pairs in SHAPES:
            makers: dict[str, Callable[[], Task]] = {
                name: partial(steps_of, name, layers, d_model, pairs, data, cache) for name in PRECISIONS
            }
            title = f"{layers} + {layers} layers of {d_model}, {pairs} pairs a batch"
            print_ratios(title, per_cpu_second(makers, ROUNDS), "target tokens")
        if steps_only:
            return
        found = {name: [bleu_of(name, seed, data, cache) for seed in range(1, seeds + 1)] for name in PRECISIONS}
        for name, scores in found.items():
            print(f"{name}: valid BLEU {', '.join(f'{score:.2f}' for score in scores)}; mean {mean(scores):.2f}")
        gaps = [one - other for one, other in zip(*found.values(), strict=True)]
        error = f" ± {stdev(gaps) / seeds**0.5:.2f}" if seeds > 1 else ""
        print(f"difference: {', '.join(f'{gap:.2f}' for gap in gaps)}; mean {mean(gaps):.2f}{error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps-only", action="store_true", help="no training")
    parser.add_argument("--data", type=Path, help="folder of Multi30k, or of files of the same names")
    parser.add_argument("--seeds", type=int, default=3, help="of BLEU")
    main(**vars(parser.parse_args()))
