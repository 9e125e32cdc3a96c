"""One training run, from text to a model and its BLEU. Runs without Ray."""

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.transformer import PAD, Transformer
from trainables.batching import count_batches, training_batches
from trainables.checkpoint import (
    KEEP,
    average_weights,
    last_checkpoints,
    load_state,
    newest_checkpoint,
    save_checkpoint,
)
from trainables.config import TrainingConfig, TrialConfig
from trainables.errors import Diverged, TooLarge, UserError
from trainables.evaluation import corpus_bleu, reference_loss, translate
from trainables.gpu import GpuFigures, measure, start_measuring
from trainables.group import ALONE, Group
from trainables.loss import linear_cross_entropy
from trainables.preparing import Prepared, prepare
from trainables.tokenizer import Tokenizer

CPU = torch.device("cpu")
OTHER_MASKS = 104_729  # seeds of the processes of a group lie so far apart


@dataclass(frozen=True)
class EpochReport:
    """What one epoch gave, or one round of `report_steps`. Losses are in nats without smoothing, so that train and
    valid are the same quantity."""

    epoch: float  # passes over the training text so far; whole without `report_steps`
    step: int  # optimizer steps so far
    train_loss: float  # per target token, with dropout, mean over the epoch or round
    valid_loss: float  # per target token
    valid_nll_per_char: float  # per character of the reference: comparable between vocabularies
    valid_bleu: float  # greedy decoding, 0..100
    train_seconds: float
    eval_seconds: float
    tokens: int  # target tokens trained on in this epoch or round
    devices: float = 1.0  # that it had: GPUs, or a share of one; a CPU slot counts as one
    gpu_memory_gib: float | None = None  # the peak while training; None without a GPU
    gpu_utilization: float | None = None  # percent, near the end of training; None without a GPU or NVML


def default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learning_rate(step: int, total_steps: int, config: TrainingConfig) -> float:
    """The rate of 1-based `step`: linear warm-up to the peak, then the schedule (cosine ends near 0)."""
    warmup = min(config.warmup_steps, total_steps)
    if step <= warmup:
        return config.learning_rate * step / warmup
    if config.schedule == "cosine":
        progress = (step - warmup) / max(1, total_steps - warmup + 1)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * math.sqrt(max(1, warmup) / step)
    return config.learning_rate


def loss_sums(model: Transformer, source: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The smoothed objective and the plain negative log-likelihood, both summed over the target's tokens. Padding is
    never predicted."""
    hidden, gold = model(source, target[:, :-1]), target[:, 1:]
    predicted = gold != PAD
    return linear_cross_entropy(hidden[predicted], model.output.weight, gold[predicted], smoothing)


def build_model(config: TrialConfig, prepared: Prepared, device: torch.device) -> Transformer:
    """A freshly initialised model; the same seed gives the same weights. Raises TooLarge."""
    torch.manual_seed(config.seed)
    try:
        return Transformer(config.model, prepared.tokenizer.source_vocab, prepared.tokenizer.target_vocab).to(device)
    except RuntimeError as error:
        size = f"{config.num_parameters:,} parameters"
        raise TooLarge(f"model: its {size} don't fit into memory; lower model.d_model or the layers") from error


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
    device = device or group.device()
    model = build_model(config, prepared, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate, betas=(0.9, 0.98), fused=True)
    settings = config.training
    epoch_steps = count_batches(prepared.train, settings)
    total, round_steps = epoch_steps * settings.epochs, settings.report_steps or epoch_steps
    step = 0
    if checkpoints and (found := newest_checkpoint(checkpoints)):
        path, values = found
        state = load_state(path, device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        report = EpochReport(**values)
        # The checkpoint may be another trial's, whose batches had other sizes (search/schedulers/population.py).
        step = report.step if settings.report_steps else epoch_steps * int(report.epoch)
        if group.rank == 0:
            yield report, model.eval()
    batches = _batches(config, prepared, epoch_steps, step)
    while step < total:
        # All randomness follows from the seed and the number of the epoch or round, so that a checkpoint holds none.
        torch.manual_seed(config.seed * 1_000_003 + step // round_steps + 1 + group.rank * OTHER_MASKS)
        steps = range(step + 1, min(step + round_steps, total) + 1)
        trained = _train_round(config.training, model, optimizer, batches, steps, epoch_steps, group)
        step = steps[-1]
        if group.rank:
            continue
        report = _validated(prepared, model, trained, step, epoch_steps)
        if checkpoints:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            number = step if settings.report_steps else step // epoch_steps
            save_checkpoint(checkpoints, settings.unit, number, state, asdict(report), keep)
        yield report, model


def _batches(config: TrialConfig, prepared: Prepared, epoch_steps: int, done: int) -> Iterator[tuple[Tensor, Tensor]]:
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
    settings: TrainingConfig,
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: range,
    epoch_steps: int,
    group: Group,
) -> Trained:
    """Train for the given steps, numbered from 1. Losses and gradients are of whole batches, not of parts."""
    device = model.target_embedding.weight.device
    start_measuring(device)
    started = time.perf_counter()
    model.train()
    total_nll = torch.zeros((), device=device)
    tokens = 0
    for step in steps:
        source, target = next(batches)
        rate = learning_rate(step, epoch_steps * settings.epochs, settings)
        for group_of_parameters in optimizer.param_groups:
            group_of_parameters["lr"] = rate
        count = int((target[:, 1:] != PAD).sum())
        optimizer.zero_grad()
        total_nll += _backward(model, group.part(source), group.part(target), settings.label_smoothing, count)
        if group.size > 1:
            group.sum([_gradient(parameter) for parameter in model.parameters()])
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        if device.type == "cpu" and not math.isfinite(float(norm)):
            raise Diverged(
                f"the gradient became {float(norm)} in epoch {-(-step // epoch_steps)}, step {step}, at learning rate "
                f"{rate:.3g}"
            )
        optimizer.step()
        tokens += count
    group.sum([total_nll])
    loss = float(total_nll) / tokens
    if not math.isfinite(loss):  # on a GPU this waits for the end, to keep the queue full
        raise Diverged(f"the training loss became {loss} in epoch {-(-steps[-1] // epoch_steps)}")
    return Trained(loss, tokens, time.perf_counter() - started, measure(device))


def _backward(model: Transformer, source: Tensor, target: Tensor, smoothing: float, count: int) -> Tensor:
    """Add the gradients of the objective per token, of which the whole batch has `count`; returns the summed negative
    log-likelihood."""
    device = model.target_embedding.weight.device
    if not len(source):
        return torch.zeros((), device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        objective, nll = loss_sums(model, source.to(device), target.to(device), smoothing)
    (objective / count).backward()  # type: ignore[no-untyped-call]
    return nll


def _gradient(parameter: Tensor) -> Tensor:
    """Where it is None, as where a process had no rows, zeros in its place."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _validated(prepared: Prepared, model: Transformer, trained: Trained, step: int, epoch_steps: int) -> EpochReport:
    """Loss and BLEU on the validation split after `step`, beside what training gave."""
    started = time.perf_counter()
    model.eval()
    text, epoch = prepared.valid_text, -(-step // epoch_steps)
    nll_sum = reference_loss(model, prepared.valid)
    if not math.isfinite(nll_sum):
        raise Diverged(f"the validation loss became {nll_sum} in epoch {epoch}")
    bleu = corpus_bleu(translate(model, prepared.tokenizer, text.source), text.target)
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


def load_model(
    config: TrialConfig, cache: Path, checkpoints: Path, device: torch.device = CPU, averaged: int = 1
) -> tuple[Transformer, Tokenizer]:
    """The model of the newest checkpoint, or the mean of so many last ones, ready to translate.

    Raises UserError if there are none.
    """
    found = last_checkpoints(checkpoints, averaged)
    if not found:
        raise UserError(
            f"{checkpoints}: holds no whole checkpoint; it was removed; restore it, or train anew under another name"
        )
    prepared = prepare(config.data, config.tokenizer, cache)
    model = build_model(config, prepared, device)
    model.load_state_dict(average_weights(found, device))
    return model.eval(), prepared.tokenizer
