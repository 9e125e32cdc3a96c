"""Training on a GPU: `make bench-gpu`. How fast one trial is, how much 2, 4 and 8 at a time do, and a grid of 32.

Each trial is the product's own loop in a process of its own. All begin each epoch together; the first one warms up and
is not counted. The matrix rate is that of `doctor`: a large bfloat16 product. --data DIR takes Multi30k (or files of
the same names) in place of the embedded corpus; the grid, which takes long, is searched with --grid alone.
"""

import argparse
import subprocess
import sys
import time
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from trial import corpus_options

from model.counting import count_flops
from search.doctor import examine_gpu
from trainables.config import TrialConfig
from trainables.preparing import prepare
from trainables.training import EpochReport, train

EPOCHS = 3
AT_A_TIME = (1, 2, 4, 8)
SHARES = (1.0, 0.5, 0.25)  # of a GPU, for the trials of the grid


class Run(NamedTuple):
    """Epochs of one trial after its first."""

    reports: list[EpochReport]
    seconds: float  # from the end of the first epoch, which all trials await, to the end of the last


def run_trial(config: TrialConfig, cache: Path, device: torch.device, share: float, start: Barrier) -> Run:
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share, device)
    else:
        torch.set_num_threads(1)
    epochs = train(config, cache, device=device)
    next(epochs)
    start.wait()
    started = time.perf_counter()
    return Run([report for report, _ in epochs], time.perf_counter() - started)


def run_together(config: TrialConfig, cache: Path, device: torch.device, trials: int) -> list[Run]:
    """So many trials, which differ in their seeds, at a time on one device."""
    context = get_context("spawn")
    with context.Manager() as manager, context.Pool(trials) as pool:
        start = manager.Barrier(trials)
        configs = [config.with_values({"seed": seed}) for seed in range(1, trials + 1)]
        return pool.starmap(run_trial, [(each, cache, device, 1 / trials, start) for each in configs])


def flops_an_epoch(config: TrialConfig, cache: Path) -> float:
    """Operations that training needs for all pairs, without padding."""
    text = prepare(config.data, config.tokenizer, cache).train
    sides = zip(text.source.lengths.tolist(), (text.target.lengths - 1).tolist(), strict=True)
    return 3.0 * sum(count_flops(config.model, config.tokenizer.vocab_size, *pair) for pair in sides)


def measure_trials(config: TrialConfig, cache: Path, device: torch.device, peak_flops: float, console: Console) -> None:
    prepare(config.data, config.tokenizer, cache)  # before several want it
    flops = flops_an_epoch(config, cache)
    size = f"{config.model.encoder_layers} + {config.model.decoder_layers} layers, d_model {config.model.d_model}"
    columns = ("trials at a time", "times the trials an hour", "target tokens / s", "of the matrix rate")
    table = Table(*columns, "validation, of training", "GiB a trial", title=size, title_justify="left")
    alone = 0.0
    for trials in AT_A_TIME:
        runs = run_together(config, cache, device, trials)
        reports = list(chain.from_iterable(run.reports for run in runs))
        wall = max(run.seconds for run in runs)
        rate = len(reports) / wall  # epochs a second, validation included
        alone = alone or rate
        training = sum(report.train_seconds for report in reports) / trials
        tokens = sum(report.tokens for report in reports) / training
        memory = max(report.gpu_memory_gib or 0.0 for report in reports)
        share = flops * len(reports) / training / peak_flops
        validation = sum(report.eval_seconds for report in reports) / (training * trials)
        table.add_row(
            str(trials), f"{rate / alone:.2f}", f"{tokens:,.0f}", f"{share:.1%}", f"{validation:.1%}", f"{memory:.1f}"
        )
    console.print(table)


def search_grid(data: Path | None, output_dir: Path, console: Console) -> None:
    """configs/grid32.yaml at 5 epochs, with the GPU given to one trial, or shared by two or four."""
    root = Path(__file__).parents[1]
    table = Table("share of the GPU a trial", "minutes", title="Grid of 32, 5 epochs", title_justify="left")
    for share in SHARES:
        options = corpus_options(data) | {
            "config": str(root / "configs" / "grid32.yaml"),
            "output_dir": str(output_dir),
            "name": f"bench-grid-{share:g}-{time.time():.0f}",
            "training.epochs": "5",
            "search.gpus_per_trial": str(share),
            "tracking.wandb": "disabled",
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
        started = time.perf_counter()
        subprocess.run([sys.executable, str(root / "search" / "run.py"), *arguments], check=True)
        table.add_row(f"{share:g}", f"{(time.perf_counter() - started) / 60:.1f}")
    console.print(table)


def main(data: Path | None, output_dir: Path, grid: bool) -> None:
    if not torch.cuda.is_available():
        sys.exit("no GPU: PyTorch finds none on this machine; `python search/run.py doctor` says what there is")
    console, device = Console(width=120), torch.device("cuda", 0)
    gpu = examine_gpu(device)
    console.print(f"{gpu.name}, {gpu.gib:.0f} GiB, {gpu.tflops:.0f} TFLOP/s in a bfloat16 matrix product")
    cache = output_dir.absolute() / ".cache"
    for layers, d_model in ((1, 64), (2, 128), (2, 256), (6, 512)):
        config = TrialConfig().with_values(bench_options(data, layers, d_model))
        measure_trials(config, cache, device, gpu.tflops * 1e12, console)
    if grid:
        search_grid(data, output_dir, console)


def bench_options(data: Path | None, layers: int, d_model: int) -> dict[str, str | int]:
    size = {"encoder_layers": layers, "decoder_layers": layers, "d_model": d_model, "ffn_dim": 4 * d_model}
    options = {f"model.{key}": value for key, value in size.items()} | {"training.epochs": EPOCHS}
    return options | corpus_options(data) | ({} if data else {"tokenizer.vocab_size": 1000})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of a corpus")
    parser.add_argument("--output_dir", type=Path, default=Path("runs"), help="keeps tokenizers and grids")
    parser.add_argument("--grid", action="store_true", help="search the grid, too")
    main(**vars(parser.parse_args()))
