"""One training run, from text to a model and its BLEU. Runs without Ray: `python -m trainables.training --help`."""

import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import Field
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
from trainables.command_line import dump_yaml, parse_config, read_yaml
from trainables.config import RunName, TrainingConfig, TrialConfig, digest, flatten
from trainables.corpus import read_test
from trainables.errors import Diverged, TooLarge, UserError
from trainables.evaluation import corpus_bleu, reference_loss, score, signatures, translate
from trainables.files import make_folder, write_atomically
from trainables.gpu import measure, start_measuring
from trainables.loss import linear_cross_entropy
from trainables.preparing import Prepared, cached_corpus, prepare
from trainables.tokenizer import Tokenizer

CPU = torch.device("cpu")


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


def loss_sums(model: Transformer, source: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor, int]:
    """The smoothed objective and the plain negative log-likelihood, both summed over the target's tokens, and
    their count. Padding is never predicted."""
    hidden, gold = model(source, target[:, :-1]), target[:, 1:]
    predicted = gold != PAD
    gold = gold[predicted]
    return *linear_cross_entropy(hidden[predicted], model.output.weight, gold, smoothing), len(gold)


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
) -> Iterator[tuple[EpochReport, Transformer]]:
    """Train, yielding after each epoch its report and the model; the checkpoint is on disk by then.

    With `training.report_steps` that happens after each round of so many steps instead, and at the end. With
    a checkpoint folder that already holds one, its report comes first again and training goes on after it, to
    the numbers of a run that was never interrupted; the `keep` last ones stay. Raises Diverged when the loss or the
    gradient leaves the finite numbers.
    """
    prepared = prepare(config.data, config.tokenizer, cache)
    return train_on(prepared, config, checkpoints, device or default_device(), keep)


def train_on(
    prepared: Prepared, config: TrialConfig, checkpoints: Path | None, device: torch.device, keep: int = KEEP
) -> Iterator[tuple[EpochReport, Transformer]]:
    """`train`, on text that is prepared."""
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
        yield report, model.eval()
    batches = _batches(config, prepared, epoch_steps, step)
    while step < total:
        # All randomness follows from the seed and the number of the epoch or round, so that a checkpoint holds none.
        torch.manual_seed(config.seed * 1_000_003 + step // round_steps + 1)
        end = min(step + round_steps, total)
        report = _run_round(config, prepared, model, optimizer, batches, range(step + 1, end + 1), epoch_steps, device)
        step = end
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


def _run_round(
    config: TrialConfig,
    prepared: Prepared,
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: range,
    epoch_steps: int,
    device: torch.device,
) -> EpochReport:
    """Train for the given steps, numbered from 1, then validate."""
    settings = config.training
    epoch = -(-steps[-1] // epoch_steps)
    start_measuring(device)
    started = time.perf_counter()
    model.train()
    total_nll = torch.zeros((), device=device)
    tokens = 0
    for step in steps:
        source, target = next(batches)
        rate = learning_rate(step, epoch_steps * settings.epochs, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            objective, nll, count = loss_sums(model, source.to(device), target.to(device), settings.label_smoothing)
        optimizer.zero_grad()
        (objective / count).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        if device.type == "cpu" and not math.isfinite(float(norm)):
            raise Diverged(
                f"the gradient became {float(norm)} in epoch {-(-step // epoch_steps)}, step {step}, at learning rate "
                f"{rate:.3g}"
            )
        optimizer.step()
        total_nll += nll
        tokens += count
    train_loss = float(total_nll) / tokens
    if not math.isfinite(train_loss):  # on a GPU this waits for the end, to keep the queue full
        raise Diverged(f"the training loss became {train_loss} in epoch {epoch}")
    trained, gpu = time.perf_counter(), measure(device)

    model.eval()
    text = prepared.valid_text
    nll_sum = reference_loss(model, prepared.valid)
    if not math.isfinite(nll_sum):
        raise Diverged(f"the validation loss became {nll_sum} in epoch {epoch}")
    bleu = corpus_bleu(translate(model, prepared.tokenizer, text.source), text.target)
    return EpochReport(
        epoch=epoch if steps[-1] % epoch_steps == 0 else steps[-1] / epoch_steps,
        step=steps[-1],
        train_loss=train_loss,
        valid_loss=nll_sum / prepared.valid.target_tokens,
        valid_nll_per_char=nll_sum / sum(map(len, text.target)),
        valid_bleu=bleu,
        train_seconds=trained - started,
        eval_seconds=time.perf_counter() - trained,
        tokens=tokens,
        gpu_memory_gib=gpu.memory_gib,
        gpu_utilization=gpu.utilization,
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


class SingleRun(TrialConfig):
    """One training run from the command line."""

    output_dir: str = Field("runs", min_length=1, description="holds the run's folder and the tokenizer cache")
    name: RunName | None = Field(None, description="of the folder; from the configuration unless given")
    threads: int = Field(1, ge=1, description="CPU threads")
    score_test: bool = Field(False, description="at the end, translate the test split and print its BLEU")
    beam_size: int = Field(5, ge=1, description="hypotheses of beam search on the test split, beside greedy search")
    length_penalty: float = Field(1.0, ge=0, description="exponent of the length that divides a hypothesis' score")


def main(arguments: list[str]) -> None:
    """Train one model, or go on with it, and print losses and BLEU."""
    program, about = "python -m trainables.training", "Train one translation model."
    run, _ = parse_config(SingleRun, arguments, program, about)
    config = TrialConfig(**{name: getattr(run, name) for name in TrialConfig.model_fields})
    cache = Path(run.output_dir).absolute() / ".cache"
    folder = Path(run.output_dir).absolute() / (run.name or f"training-{digest(config.model_dump())}")
    torch.set_num_threads(run.threads)
    for warning in cached_corpus(config.data).warnings:
        print(f"warning: {warning}")
    prepared = prepare(config.data, config.tokenizer, cache)
    _claim(folder, config)
    print(f"{len(prepared.train)} training pairs ({prepared.train.overlong} overlong), {folder}")
    print("epoch  train loss  valid loss  valid BLEU  seconds")
    model: Transformer | None = None
    for report, trained in train(config, cache, folder):
        model = trained
        print(
            f"{report.epoch:5.4g}  {report.train_loss:10.4f}  {report.valid_loss:10.4f}  {report.valid_bleu:10.2f}  "
            f"{report.train_seconds:.0f} + {report.eval_seconds:.0f}",
            flush=True,
        )
    assert model is not None
    print(f"{model.num_parameters():,} parameters")
    if not run.score_test:
        return
    frozen = {"frozen_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "finalists": [config.model_dump()]}
    write_atomically(folder / "finalists.json", json.dumps(frozen))  # the run's own model is its only finalist
    test = read_test(config.data, folder, "scoring the trained model")
    for beam_size in sorted({1, run.beam_size}):
        translations = translate(model, prepared.tokenizer, test.source, beam_size, run.length_penalty)
        scores = score(translations, test.target)
        print(
            f"test, beam {beam_size}: BLEU {scores.bleu:.2f}, chrF++ {scores.chrf:.2f}, TER {scores.ter:.2f}, "
            f"mean sentence BLEU {scores.sentence_bleu:.2f}"
        )
    print(signatures()["bleu"])


def _claim(folder: Path, config: TrialConfig) -> None:
    """Write the configuration into the run's folder. Raises UserError if another one was trained there."""
    file = folder / "config.yaml"
    if (folder / "study.db").exists():
        raise UserError(f"--name: {folder} is the directory of a search; choose another name")
    if file.exists():
        trained, asked = flatten(read_yaml(file)), flatten(config.model_dump(mode="json"))
        if other := [f"{path} {trained.get(path)}" for path in asked if trained.get(path) != asked[path]]:
            raise UserError(f"--name: {folder} holds a run with {', '.join(other)}; choose another name")
    make_folder(folder)
    write_atomically(file, dump_yaml(config))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Diverged as error:
        sys.exit(f"diverged: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last checkpoint")
