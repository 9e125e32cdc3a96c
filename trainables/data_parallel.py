"""One trial on several GPUs of its machine: a process each, with the numbers of one GPU at the same batches."""

import multiprocessing
import os
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from model.transformer import Transformer
from trainables.config import TrialConfig
from trainables.errors import Diverged
from trainables.group import Group, die_with, meet, part
from trainables.preparing import prepare
from trainables.training import EpochReport, train_on


def train_together(
    config: TrialConfig, cache: Path, checkpoints: Path, size: int, keep: int
) -> Generator[tuple[EpochReport, Transformer]]:
    """`train` by `size` processes, of which this is the first and the only one that validates and saves.

    Sums of gradients are over the whole batch, so without dropout the numbers are those of one process, but for
    rounding; with it each process draws masks of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "meeting"
        with _others(config, cache, checkpoints, size, place):
            group = Group(0, size)
            meet(group, place)
            try:
                yield from train_on(prepare(config.data, config.tokenizer, cache), config, checkpoints, keep, group)
            finally:
                part()


@contextmanager
def _others(config: TrialConfig, cache: Path, checkpoints: Path, size: int, place: Path) -> Iterator[None]:
    """The other processes. Should one die, this one dies, too: it would wait for ever."""
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(
            target=_follow, args=(config, cache, checkpoints, Group(rank, size), place, os.getpid()), daemon=True
        )
        for rank in range(1, size)
    ]
    needed = threading.Event()
    needed.set()
    for other in others:
        other.start()
    threading.Thread(target=_die_with_any, args=(others, needed), daemon=True).start()
    try:
        yield
    finally:
        needed.clear()
        for other in others:
            other.kill()
            other.join()


def _die_with_any(others: list[SpawnProcess], needed: threading.Event) -> None:
    wait([other.sentinel for other in others])
    if needed.is_set() and any(other.exitcode for other in others):
        os._exit(1)


def _follow(config: TrialConfig, cache: Path, checkpoints: Path, group: Group, place: Path, parent: int) -> None:
    """Train along, from the same checkpoint on."""
    die_with(parent)
    prepared = prepare(config.data, config.tokenizer, cache)
    meet(group, place)
    with suppress(Diverged):  # the first process says so
        for _ in train_on(prepared, config, checkpoints, group=group):
            pass
    part()
