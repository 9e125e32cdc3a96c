"""One trial on several GPUs of its machine: a process each, with the numbers of one GPU at the same batches."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from model.transformer import Transformer
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged, TooLarge
from trainables.base.files import make_folder
from trainables.base.report import EpochReport
from trainables.base.temporary import temporary_folder
from trainables.data.preparing import prepare
from trainables.training.group import Group, die_with, meet, part
from trainables.training.loop import train_on

TOO_LARGE = "too-large"  # a file beside the checkpoints


def train_together(
    config: TrialConfig, cache: Path, checkpoints: Path, size: int, keep: int
) -> Generator[tuple[EpochReport, Transformer]]:
    """`train` by `size` processes, of which this is the first and the only one that validates and saves.

    Sums of gradients are over the whole batch, so without dropout the numbers are those of one process, but for
    rounding; with it each process draws masks of its own.
    """
    if (checkpoints / TOO_LARGE).exists():
        raise TooLarge(f"model: its part of a batch does not fit into one of its {size} GPUs")
    with temporary_folder() as folder:
        place, group = folder / "meeting", Group(0, size)
        with _others(config, cache, checkpoints, size, place) as end_others:
            meet(group, place)
            try:
                yield from train_on(prepare(config.data, config.tokenizer, cache), config, checkpoints, keep, group)
            finally:
                end_others()  # first, as they may wait for this process
                part()


@contextmanager
def _others(
    config: TrialConfig, cache: Path, checkpoints: Path, size: int, place: Path
) -> Iterator[Callable[[], None]]:
    """The other processes, and how to end them. Should one die, this one dies, too: it would wait for ever."""
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(
            target=_follow, args=(config, cache, checkpoints, Group(rank, size), place, os.getpid()), daemon=True
        )
        for rank in range(1, size)
    ]
    needed = threading.Event()
    needed.set()

    def end() -> None:
        needed.clear()
        for other in others:
            other.kill()
            other.join()

    for other in others:
        other.start()
    threading.Thread(target=_die_with_any, args=(others, needed), daemon=True).start()
    try:
        yield end
    finally:
        end()


def _die_with_any(others: list[SpawnProcess], needed: threading.Event) -> None:
    wait([other.sentinel for other in others])
    if needed.is_set() and any(other.exitcode for other in others):
        os._exit(1)


def _follow(config: TrialConfig, cache: Path, checkpoints: Path, group: Group, place: Path, parent: int) -> None:
    """Train along, from the same checkpoint on."""
    die_with(parent)
    prepared = prepare(config.data, config.tokenizer, cache)
    meet(group, place)
    try:
        for _ in train_on(prepared, config, checkpoints, group=group):
            pass
    except Diverged:
        pass  # the first process says so
    except (TooLarge, torch.OutOfMemoryError):
        make_folder(checkpoints)
        (checkpoints / TOO_LARGE).touch()  # what the next start of the trial will say
        raise
