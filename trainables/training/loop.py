"""One training run, from text to a model and its BLEU. Runs without Ray."""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from model.transformer import PAD, Transformer
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged, UserError
from trainables.base.files import remove
from trainables.base.report import EpochReport
from trainables.data.batching import count_batches, training_batches
from trainables.data.preparing import Prepared, prepare
from trainables.data.tokenizer import Tokenizer
from trainables.training.checkpoint import (
    KEEP,
    average_weights,
    checkpoint_number,
    common_checkpoints,
    last_checkpoints,
    load_state,
    save_checkpoint,
    whole_checkpoint,
)
from trainables.training.evaluation import corpus_bleu, reference_loss, translate
from trainables.training.freed_memory import keep_freed_memory
from trainables.training.gpu import GpuFigures, measure, start_measuring
from trainables.training.group import ALONE, Group
from trainables.training.learning import build_model
from trainables.training.team import Batch, Team

CPU = torch.device("cpu")
SAME_LOSS = 0.01  # relative difference that rounding on another device may make


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    config: TrialConfig,
    cache: Path,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
    keep: int = KEEP,
) -> Generator[tuple[EpochReport, Transformer]]:
    """Train, yielding after each epoch its report and the model; the checkpoint is on disk by then.

    With `training.report_steps` that happens after each round of so many steps instead, and at the end. With
    a checkpoint folder that already holds one, its report comes first again and training goes on after it, to
    the numbers of a run that was never interrupted; the `keep` last ones stay. Raises Diverged when the loss or the
    gradient leaves the finite numbers.
    """
    prepared = prepare(config.data, config.tokenizer, cache)
    return train_on(prepared, config, checkpoints, keep, device=device)


def train_on(
    prepared: Prepared,
    config: TrialConfig,
    checkpoints: Path | None = None,
    keep: int = KEEP,
    group: Group = ALONE,
    device: torch.device | None = None,
) -> Generator[tuple[EpochReport, Transformer]]:
    """`train`, on text that is prepared, by one of a group of processes; the first validates, saves and reports."""
    team = Team([config], prepared, device or group.device(), group)
    for _, report, model in train_team(prepared, team, [checkpoints] if checkpoints else [], keep):
        if isinstance(report, Diverged):
            raise report
        yield report, model


def train_team(
    prepared: Prepared, team: Team, checkpoints: Sequence[Path], keep: int = KEEP
) -> Generator[tuple[int, EpochReport | Diverged, Transformer]]:
    """`train` for all learners of a team, each with its folder of checkpoints, or without any: the number of one, its
    report and its model.

    One that diverges says so once, and then no more. They go on from the last report that all of them have a checkpoint
    of.
    """
    if team.device.type == "cpu":
        keep_freed_memory()
    learners = team.learners
    settings, going = learners[0].settings, set(range(len(learners)))
    epoch_steps = count_batches(prepared.train, settings)
    total, round_steps = epoch_steps * settings.epochs, settings.report_steps or epoch_steps
    step = 0
    for number, (path, values) in enumerate(common_checkpoints(checkpoints)):
        learners[number].load(load_state(path, team.device))
        report = EpochReport(**values)
        # The checkpoint may be another trial's, whose batches had other sizes (search/schedulers/population.py).
        step = report.step if settings.report_steps else epoch_steps * int(report.epoch)
        if team.group.rank == 0:
            yield number, report, learners[number].model.eval()
    batches = [_batches(learner.config, prepared, epoch_steps, step) for learner in learners]
    while step < total and going:
        steps = range(step + 1, min(step + round_steps, total) + 1)
        trained = _train_round(team, batches, step // round_steps + 1, steps, epoch_steps)
        step = steps[-1]
        for number in sorted(going) if team.group.rank == 0 else ():
            learner = learners[number]
            try:
                report = _validated(prepared, learner.model, trained[number], step, epoch_steps)
            except Diverged as error:
                going.remove(number)
                yield number, error.with_traceback(None), learner.model  # whose frames hold the model
                continue
            if checkpoints:
                place = step if settings.report_steps else step // epoch_steps
                save_checkpoint(checkpoints[number], settings.unit, place, learner.state(), asdict(report), keep)
            yield number, report, learner.model


def _batches(config: TrialConfig, prepared: Prepared, epoch_steps: int, done: int) -> Iterator[Batch]:
    """The batches of all epochs from the step after `done` on."""
    for epoch in range(done // epoch_steps, config.training.epochs):
        start = max(0, done - epoch * epoch_steps)
        yield from training_batches(prepared.train, config.training, config.seed, epoch + 1, start)


@dataclass(frozen=True)
class Trained:
    """What training for a round gave."""

    loss: float
    tokens: int
    seconds: float
    gpu: GpuFigures


def _train_round(
    team: Team,
    batches: Sequence[Iterator[Batch]],
    number: int,
    steps: range,
    epoch_steps: int,
) -> list[Trained]:
    """Train for the given steps, numbered from 1, in the round of that number; what it gave each learner."""
    start_measuring(team.device)
    started = time.perf_counter()
    team.begin(number)
    tokens = [0] * len(batches)
    for step in steps:
        taken = [next(each) for each in batches]
        team.step(taken, step, epoch_steps)
        tokens = [count + int((target[:, 1:] != PAD).sum()) for count, (_, target) in zip(tokens, taken, strict=True)]
    losses = team.losses()  # on a GPU this waits for the end, to keep the queue full
    seconds, gpu = time.perf_counter() - started, measure(team.device)
    return [Trained(loss / count, count, seconds, gpu) for loss, count in zip(losses, tokens, strict=True)]


def _validated(prepared: Prepared, model: Transformer, trained: Trained, step: int, epoch_steps: int) -> EpochReport:
    """Loss and BLEU on the validation split after `step`, beside what training gave. Raises Diverged."""
    text, epoch = prepared.valid_text, -(-step // epoch_steps)
    if not math.isfinite(trained.loss):
        raise Diverged(f"the training loss became {trained.loss} in epoch {epoch}")
    started = time.perf_counter()
    model.eval()
    nll_sum = reference_loss(model, prepared.valid)
    if not math.isfinite(nll_sum):
        raise Diverged(f"the validation loss became {nll_sum} in epoch {epoch}")
    bleu = corpus_bleu(translate(model, prepared.tokenizer, text.source), text.target, prepared.scoring)
    return EpochReport(
        epoch=epoch if step % epoch_steps == 0 else step / epoch_steps,
        step=step,
        train_loss=trained.loss,
        valid_loss=nll_sum / prepared.valid.target_tokens,
        valid_nll_per_char=nll_sum / sum(map(len, text.target)),
        valid_bleu=bleu,
        train_seconds=trained.seconds,
        eval_seconds=time.perf_counter() - started,
        tokens=trained.tokens,
        gpu_memory_gib=trained.gpu.memory_gib,
        gpu_utilization=trained.gpu.utilization,
    )


def train_again(
    config: TrialConfig, cache: Path, checkpoints: Path, reports: Sequence[EpochReport], averaged: int
) -> bool:
    """Whether one of the `averaged` last checkpoints of a finished training was missing or damaged, and is there again.

    reports: of that training, the last one last. Raises UserError if the model comes out otherwise.
    """
    unit = config.training.unit
    wanted = [f"{unit}-{report.progress(unit)}" for report in reports[-averaged:]]
    damaged = [name for name in wanted if whole_checkpoint(checkpoints / name) is None]
    if not damaged:
        return False
    for path in checkpoints.glob(f"{unit}-*"):  # training goes on after the newest: that of before the damage
        if (checkpoint_number(path.name) or 0) >= (checkpoint_number(damaged[0]) or 0):
            remove(path)
    name = checkpoints / damaged[0]
    inherited = reports[0].progress(unit) > (config.training.report_steps or 1)
    if inherited and not last_checkpoints(checkpoints, 1):
        raise UserError(f"{name}: is damaged, and its training went on from another trial's; restore it from a copy")
    for report, _ in train(config, cache, checkpoints, keep=max(KEEP, averaged)):
        loss = report.valid_nll_per_char
    if not math.isclose(loss, known := reports[-1].valid_nll_per_char, rel_tol=SAME_LOSS):
        raise UserError(
            f"{name}: was damaged and is trained again, but its validation loss per character is {loss:.4f} now, and "
            f"was {known:.4f}: restore it from a copy"
        )
    return True


def load_model(
    config: TrialConfig, cache: Path, checkpoints: Path, device: torch.device = CPU, averaged: int = 1
) -> tuple[Transformer, Tokenizer]:
    """The model of the newest checkpoint, or the mean of so many last ones, ready to translate.

    Raises UserError if there are none.
    """
    found = last_checkpoints(checkpoints, averaged)
    if not found:
        raise UserError(
            f"{checkpoints}: holds no whole checkpoint; it was removed; restore it, or train again under another name"
        )
    prepared = prepare(config.data, config.tokenizer, cache)
    model = build_model(config, prepared, device)
    model.load_state_dict(average_weights(found, device))
    return model.eval(), prepared.tokenizer
