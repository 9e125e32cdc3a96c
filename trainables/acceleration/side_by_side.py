"""Several trials in one process: as one batched computation if that is faster, else one after another."""

import gc
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import torch

from model.special_tokens import PAD
from trainables.acceleration.captured import choose_step
from trainables.acceleration.stacked import StackedStep
from trainables.base.checkpoint_files import KEEP, common_checkpoints
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport, Report
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.training.device import default_device
from trainables.training.gpu import measure, start_measuring
from trainables.training.loop import train
from trainables.training.optimizer import learning_rate
from trainables.training.training_run import Batch, Trained, TrainingRun

STEPS, ROUNDS = 20, 3  # for the measurement


def train_side_by_side(
    configs: Sequence[TranslationConfig], cache: Path, folders: Sequence[Path], keep: int = KEEP
) -> Generator[Report]:
    """`train` for trials that can be trained as one, each with its folder of checkpoints.

    If one diverges, it says so, and the others continue. `devices` in a report is the trial's share of the devices of
    the process.
    """
    prepared, device = prepare(configs[0].data, configs[0].tokenizer, cache), default_device()
    if is_faster_as_one(configs, prepared, device):
        try:
            yield from train_as_one(configs, prepared, device, folders, keep)
            return
        except torch.OutOfMemoryError:
            pass  # single ones may fit; they continue from their checkpoints
        gc.collect()
        torch.cuda.empty_cache()
    for number, (config, folder) in enumerate(zip(configs, folders, strict=True)):
        try:
            for report, _ in train(config, prepared, folder, device, keep=keep, make_step=choose_step):
                yield number, report
        except Diverged as error:
            yield number, error.with_traceback(None)  # whose frames hold the model


def train_as_one(
    configs: Sequence[TranslationConfig],
    prepared: Prepared,
    device: torch.device,
    folders: Sequence[Path] = (),
    keep: int = KEEP,
) -> Generator[Report]:
    """`train` for trials whose steps are computed as one.

    One that diverges says so once and reports no more. They continue from the last report of which all have a
    checkpoint.
    """
    step = StackedStep(configs, prepared, device)
    runs = [
        TrainingRun(config, prepared, learner, folders[number] if folders else None, keep)
        for number, (config, learner) in enumerate(zip(configs, step.learners, strict=True))
    ]

    def share(report: EpochReport) -> EpochReport:
        return replace(report, devices=report.devices / len(configs))

    for number, found in enumerate(common_checkpoints(folders)):
        yield number, share(runs[number].resume(*found))
    batches, going = [run.batches() for run in runs], set(range(len(runs)))
    for progress, steps in runs[0].steps():  # all have rounds of equal length
        trained = _train_round(step, runs, batches, progress, steps, device)
        for number in sorted(going):
            try:
                report = runs[number].report(trained[number], progress)
            except Diverged as error:
                going.remove(number)
                yield number, error.with_traceback(None)  # whose frames hold the model
                continue
            yield number, share(report)
        if not going:
            return


def _train_round(
    step: StackedStep,
    runs: Sequence[TrainingRun],
    batches: Sequence[Iterator[Batch]],
    progress: int,
    steps: range,
    device: torch.device,
) -> list[Trained]:
    """Take the steps of a round; returns the result for each run."""
    start_measuring(device)
    started, tokens = time.perf_counter(), [0] * len(runs)
    step.begin([run.seed(progress) for run in runs])
    for number in steps:
        taken = [next(each) for each in batches]
        step(taken, [learning_rate(number, run.rounds.total_steps, run.config.training) for run in runs])
        tokens = [count + int((target[:, 1:] != PAD).sum()) for count, (_, target) in zip(tokens, taken, strict=True)]
    losses = step.losses()  # waits for a GPU only at the end of a round, to keep its queue full
    seconds, gpu = time.perf_counter() - started, measure(device)
    return [Trained(loss / count, count, seconds, gpu) for loss, count in zip(losses, tokens, strict=True)]


def is_faster_as_one(configs: Sequence[TranslationConfig], prepared: Prepared, device: torch.device) -> bool:
    """Measure whether a joint step takes less time than a step of each in turn."""
    try:
        return _seconds_as_one(configs, prepared, device) < len(configs) * _seconds_alone(configs[0], prepared, device)
    except torch.OutOfMemoryError:
        return False
    finally:
        if device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def _seconds_as_one(configs: Sequence[TranslationConfig], prepared: Prepared, device: torch.device) -> float:
    step = StackedStep(configs, prepared, device)
    step.begin([config.seed for config in configs])
    batches = list(zip(*(_first_batches(config, prepared) for config in configs), strict=True))
    rates = [learning_rate(1, STEPS, config.training) for config in configs]

    def take_steps() -> None:
        for taken in batches:
            step(taken, rates)
        step.losses()  # waits for a GPU

    return _least_seconds(take_steps)


def _seconds_alone(config: TranslationConfig, prepared: Prepared, device: torch.device) -> float:
    step = choose_step(config, prepared, device)
    step.begin(config.seed)
    batches, rate = _first_batches(config, prepared), learning_rate(1, STEPS, config.training)

    def take_steps() -> None:
        for source, target in batches:
            step(source, target, rate)
        step.loss()  # waits for a GPU

    return _least_seconds(take_steps)


def _first_batches(config: TranslationConfig, prepared: Prepared) -> list[Batch]:
    """The first batches of an epoch, repeated if it has too few."""
    return list(islice(cycle(training_batches(prepared.train, config.training, config.seed, 1)), STEPS))


def _least_seconds(take_steps: Callable[[], None]) -> float:
    turns = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        take_steps()
        turns.append(time.perf_counter() - started)
    return min(turns)
