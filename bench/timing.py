"""Fair timing on a shared machine: CPU seconds of alternating runs, and their medians."""

import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

Task = Callable[[], int]  # returns the number of tokens or sentences


def per_cpu_second(makers: Mapping[str, Callable[[], Task]], rounds: int) -> dict[str, float]:
    """The work of each task per CPU second of one thread: the median of so many turns, after one to warm up.

    Each runs in a process of its own, as in real use: otherwise it would reuse memory that another one has freed. A
    maker must be importable: a function of a module, or a partial of one.
    """
    context = get_context("spawn")
    ends, processes = {}, []
    for name, maker in makers.items():
        ends[name], other = context.Pipe()
        processes.append(context.Process(target=_serve, args=(maker, other), daemon=True))
        processes[-1].start()
        other.close()
    speeds: dict[str, list[float]] = {name: [] for name in makers}
    for turn in range(rounds + 1):
        for name, end in ends.items():
            end.send("go")
            speed = end.recv()
            if turn:
                speeds[name].append(speed)
    for process in processes:
        process.terminate()
        process.join()
    return {name: median(values) for name, values in speeds.items()}


def _serve(maker: Callable[[], Task], turns: Connection) -> None:
    one_thread()
    task = maker()
    while turns.recv():
        started = time.process_time()
        done = task()
        turns.send(done / (time.process_time() - started))


def print_ratios(title: str, speeds: dict[str, float], unit: str) -> None:
    """How many times faster ours, which comes first, is than each of the others."""
    (ours, fastest), *_ = speeds.items()
    table = Table("", f"{ours} is faster by", f"{unit} / CPU-s", title=title, title_justify="left")
    for name, speed in speeds.items():
        table.add_row(name, f"{fastest / speed:.2f}" if name != ours else "", f"{speed:,.0f}")
    Console(width=120).print(table)


def one_thread() -> None:
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
