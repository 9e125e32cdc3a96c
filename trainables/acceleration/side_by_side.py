"""Several trials in one process: as one batched computation where that is faster, else one after another."""

import gc
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import torch

from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport
from trainables.data.batching import training_batches
from trainables.data.preparing import Prepared, prepare
from trainables.training.checkpoint import KEEP
from trainables.training.loop import default_device, train_on, train_team
from trainables.training.team import Team

STEPS, ROUNDS = 20, 3  # to measure by
Report = tuple[int, EpochReport | Diverged]  # with the number of the trial, from 0


def train_side_by_side(
    configs: Sequence[TrialConfig], cache: Path, folders: Sequence[Path], keep: int = KEEP
) -> Generator[Report]:
    """`train` for trials that can learn together, each with its folder of checkpoints. One that diverges says so, and
    the others go on. What a report calls its devices is the trial's share of those of the process."""
    prepared, device = prepare(configs[0].data, configs[0].tokenizer, cache), default_device()
    if is_faster_as_one(configs, prepared, device):
        try:
            yield from _train_as_one(configs, prepared, device, folders, keep)
            return
        except torch.OutOfMemoryError:
            pass  # one by one they may fit; they go on from their checkpoints
        gc.collect()
        torch.cuda.empty_cache()
    for number, (config, folder) in enumerate(zip(configs, folders, strict=True)):
        try:
            for report, _ in train_on(prepared, config, folder, keep, device=device):
                yield number, report
        except Diverged as error:
            yield number, error.with_traceback(None)  # whose frames hold the model


def _train_as_one(
    configs: Sequence[TrialConfig], prepared: Prepared, device: torch.device, folders: Sequence[Path], keep: int
) -> Generator[Report]:
    for number, report, _ in train_team(prepared, Team(configs, prepared, device), folders, keep):
        if isinstance(report, EpochReport):
            report = replace(report, devices=report.devices / len(configs))
        yield number, report


def is_faster_as_one(configs: Sequence[TrialConfig], prepared: Prepared, device: torch.device) -> bool:
    """Whether a step of all takes less time than a step of each in turn; measured."""
    try:
        return _seconds(configs, prepared, device) < len(configs) * _seconds(configs[:1], prepared, device)
    except torch.OutOfMemoryError:
        return False
    finally:
        if device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def _seconds(configs: Sequence[TrialConfig], prepared: Prepared, device: torch.device) -> float:
    """Seconds of some steps, on the first batches of an epoch: the least of a few turns."""
    team = Team(configs, prepared, device)
    batches = [
        list(islice(cycle(training_batches(prepared.train, config.training, config.seed, 1)), STEPS))
        for config in configs
    ]
    team.begin(1)
    turns = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for taken in zip(*batches, strict=True):
            team.step(taken, 1, len(batches[0]))
        team.losses()  # waits for a GPU
        turns.append(time.perf_counter() - started)
    return min(turns)
