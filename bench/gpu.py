"""Training on a GPU: `make bench-gpu`.

The speed of one trial, step by step or as CUDA graphs, and of several: in separate processes, as one batched
computation, or both. Each process runs the real training loop. All start each epoch together; the first epoch warms up
and captures, and does not count. The matrix rate is the one of `doctor`: a large bfloat16 product. --data DIR takes
Multi30k (or files of the
same names) in place of the embedded corpus; --grid adds a search of the grid, which takes long.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from trial import corpus_options

from model.counting import count_flops
from search.commands.doctor import examine_gpu
from trainables.acceleration.captured import choose_step
from trainables.acceleration.side_by_side import train_as_one
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.data.encoding.sequences import parts_of
from trainables.training.loop import train

EPOCHS = 3
SHAPES = 32  # shapes of batches, if steps are captured
SHARES = (1.0, 0.5, 0.25)  # of a GPU per trial of the grid
MPS = "nvidia-cuda-mps-control"


class Way(NamedTuple):
    """How trials run: the number of processes, and of trials as one in each."""

    processes: int
    members: int
    captured: bool
    mps: bool = False

    def __str__(self) -> str:
        if not self.captured:
            return "one, step by step"
        parts = [f"{self.processes} processes"] if self.processes > 1 else []
        parts += [f"{self.members} as one"] if self.members > 1 else []
        return (" of ".join(parts) or "one") + ", graphs" + (", MPS" if self.mps else "")


WAYS = (
    Way(1, 1, captured=False),
    Way(1, 1, captured=True),
    *(Way(processes, 1, captured=True) for processes in (2, 4, 8)),
    *(Way(1, members, captured=True) for members in (2, 4, 8, 16)),
    Way(4, 4, captured=True),
    *(Way(processes, members, captured=True, mps=True) for processes, members in ((4, 1), (8, 1), (4, 4))),
)


class Run(NamedTuple):
    """The epochs of a process's trials after the first."""

    reports: list[EpochReport]
    seconds: float  # from the end of the first epoch, for which all processes wait, to the end of the last


def run_trials(
    configs: list[TranslationConfig], cache: Path, device: torch.device, share: float, start: Barrier
) -> Run:
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share, device)
    else:
        torch.set_num_threads(1)
    prepared = prepare(configs[0].data, configs[0].tokenizer, cache)
    try:
        reports = trained(configs, prepared, device)
        for _ in configs:
            next(reports)
    except BaseException:
        start.abort()  # the others would wait for ever
        raise
    start.wait()
    started = time.perf_counter()
    rest = [report for report in reports if isinstance(report, EpochReport)]
    return Run(rest, time.perf_counter() - started)


def trained(
    configs: list[TranslationConfig], prepared: Prepared, device: torch.device
) -> Iterator[EpochReport | Diverged]:
    if len(configs) == 1:
        return (report for report, _ in train(configs[0], prepared, device=device, make_step=choose_step))
    return (report for _, report in train_as_one(configs, prepared, device))


def run_way(way: Way, config: TranslationConfig, cache: Path, device: torch.device) -> list[Run]:
    """Run trials that differ only in their seeds."""
    shaped = config.with_values({"training.batch_shapes": SHAPES if way.captured else None})
    seeds = iter(range(1, way.processes * way.members + 1))
    teams = [[shaped.with_values({"seed": next(seeds)}) for _ in range(way.members)] for _ in range(way.processes)]
    context = get_context("spawn")
    with mps(way.mps), context.Manager() as manager, context.Pool(way.processes) as pool:
        start = manager.Barrier(way.processes)
        return pool.starmap(run_trials, [(team, cache, device, 1 / way.processes, start) for team in teams])


@contextmanager
def mps(wanted: bool) -> Iterator[None]:
    """NVIDIA's multi-process service for the processes that the block starts."""
    if not wanted:
        yield
        return
    with TemporaryDirectory() as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        os.environ |= places
        subprocess.run([MPS, "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run([MPS], input="quit\n", text=True, check=True)
            for name in places:
                del os.environ[name]


def flops_an_epoch(config: TranslationConfig, cache: Path) -> float:
    """Operations of training on all pairs, without padding."""
    text = prepare(config.data, config.tokenizer, cache).train
    pairs = (pair for part in parts_of(text) for pair in part.lengths.tolist())
    return 3.0 * sum(count_flops(config.model, config.tokenizer.vocab_size, *pair) for pair in pairs)


def measure_ways(
    config: TranslationConfig, cache: Path, device: torch.device, peak_flops: float, console: Console
) -> None:
    prepare(config.data, config.tokenizer, cache)  # before several processes need it
    flops = flops_an_epoch(config, cache)
    size = f"{config.model.encoder_layers} + {config.model.decoder_layers} layers, d_model {config.model.d_model}"
    columns = ("trials at a time", "times the trials an hour", "target tokens / s", "of the matrix rate")
    table = Table(*columns, "validation, of training", "GiB a process", title=size, title_justify="left")
    first = 0.0
    for way in WAYS:
        if way.mps and shutil.which(MPS) is None:
            continue
        try:
            runs = run_way(way, config, cache, device)
        except torch.OutOfMemoryError:
            table.add_row(str(way), "memory is too small")
            continue
        reports = list(chain.from_iterable(run.reports for run in runs))
        rate = len(reports) / max(run.seconds for run in runs)  # epochs a second, validation included
        first = first or rate
        training = sum(report.train_seconds for report in reports) / (way.processes * way.members)
        tokens = sum(report.score("tokens") for report in reports) / training
        memory = max(report.gpu_memory_gib or 0.0 for report in reports)
        share = flops * len(reports) / training / peak_flops
        validation = sum(report.eval_seconds for report in reports) / (training * way.processes)
        table.add_row(
            str(way), f"{rate / first:.2f}", f"{tokens:,.0f}", f"{share:.1%}", f"{validation:.1%}", f"{memory:.1f}"
        )
    console.print(table)


def search_grid(data: Path | None, output_dir: Path, console: Console) -> None:
    """configs/grid32.yaml at 5 epochs, with one trial per GPU, or two or four that share it."""
    root = Path(__file__).parents[1]
    table = Table("share of the GPU a trial", "minutes", title="Grid of 32, 5 epochs", title_justify="left")
    for share in SHARES:
        options = corpus_options(data) | {
            "config": str(root / "configs" / "grid32.yaml"),
            "output_dir": str(output_dir),
            "name": f"bench-grid-{share:g}-{time.time():.0f}",
            "training.epochs": "5",
            "training.batch_shapes": str(SHAPES),
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
        config = TranslationConfig().with_values(bench_options(data, layers, d_model))
        measure_ways(config, cache, device, gpu.tflops * 1e12, console)
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
