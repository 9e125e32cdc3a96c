"""One training: its rounds and batches, its validation, its patience and its checkpoints. The loop takes the steps."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from trainables.base.checkpoint_files import KEEP
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport, read_report
from trainables.base.translator_config import TranslatorConfig
from trainables.data.encoding.batching import rounds_of
from trainables.data.encoding.preparing import PreparedText
from trainables.data.encoding.sequences import EncodedSplit
from trainables.scoring.metrics import find_metric
from trainables.training.checkpoint import load_state, save_checkpoint
from trainables.training.evaluation import corpus_bleu
from trainables.training.gpu import GpuFigures
from trainables.training.patience import Patience

Batch = tuple[Tensor, Tensor]  # source (B, S) and target (B, T), ids


class Learns(Protocol):
    """A model with its optimizer, as the loop sees it."""

    device: torch.device

    @property
    def evaluated(self) -> torch.nn.Module:
        """The model that is validated and used."""
        ...

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        ...

    def best_weights(self) -> dict[str, Tensor]:
        """The weights of the validated model, on the CPU."""
        ...

    def keep(self, weights: dict[str, Tensor]) -> None:
        """Give the validated model these weights, for a training that has ended."""
        ...

    def reference_loss(self, split: EncodedSplit) -> float:
        """Negative log-likelihood of the references, in nats, summed over all their tokens, without label smoothing."""
        ...

    def translate(self, sentences: list[str]) -> list[str]:
        """Translations by greedy search, in the order of the sentences."""
        ...


@dataclass(frozen=True)
class Trained:
    """The result of the training steps of a round."""

    loss: float  # per target token, in nats
    tokens: int
    seconds: float
    gpu: GpuFigures


class TrainingRun:
    """One training: its rounds and batches, its validation, and its checkpoints."""

    def __init__(
        self,
        config: TranslatorConfig,
        prepared: PreparedText,
        learner: Learns,
        checkpoints: Path | None,
        keep: int = KEEP,
    ):
        self.config, self.prepared, self.learner = config, prepared, learner
        self.checkpoints, self.keep = checkpoints, keep
        self.rounds = rounds_of(prepared.train, config.training)
        self.rounds.check()
        self.progress = 0  # before the first round
        most = config.training.patience
        self.patience = Patience(most) if most else None
        self._further_metrics = {
            name: find_metric(name, config.data, config.metrics) for name in config.training.valid_metrics
        }

    def resume(self, checkpoint: Path, values: dict[str, Any]) -> EpochReport:
        """Continue after a checkpoint with the given report."""
        state = load_state(checkpoint, self.learner.device)
        if self.patience is not None and "patience" in state:
            self.patience.load(state["patience"])
        self.learner.load(state)
        report = read_report(values)
        # The checkpoint may be from another trial, whose batches had other sizes (search/schedulers/population.py).
        self.progress = report.progress(self.config.training.unit)
        return report

    def batches(self) -> Iterator[Batch]:
        """The batches of all steps that are left."""
        done, epoch_steps = self.rounds.step(self.progress), self.rounds.epoch_steps
        for epoch in range(done // epoch_steps, math.ceil(self.config.training.epochs)):
            start = max(0, done - epoch * epoch_steps)
            yield from self.prepared.batches(self.config.training, self.config.seed, epoch + 1, start)

    def steps(self) -> Iterator[tuple[int, range]]:
        """Each round that is left: the progress at its end, and its steps, counted from 1 over all epochs."""
        done = self.rounds.step(self.progress)
        for progress in self.rounds.left(self.progress):
            start, done = done, self.rounds.step(progress)
            yield progress, range(start + 1, done + 1)

    def seed(self, progress: int) -> int:
        """The seed of a round's random numbers, by the progress at its end."""
        return self.config.seed * 1_000_003 + -(-progress // self.config.training.report_every)

    def epoch(self, step: int) -> int:
        """The epoch, from 1, that the step belongs to."""
        return -(-step // self.rounds.epoch_steps)

    def report(self, trained: Trained, progress: int) -> EpochReport:
        """The report after a round, validated and saved. Raises Diverged.

        With patience, the last report is of the best model, which is kept.
        """
        if self.patience is not None and progress == self.rounds.last:
            valid, text = self.prepared.valid_sample(self.config.training.scored_pairs)  # as for the reports before
            loss = self.learner.reference_loss(valid) / sum(map(len, text.target))
            if not self.patience.expects(loss):
                self.learner.keep(self.patience.weights)
        report = self._validate(trained, progress)
        if self.patience is not None:
            self.patience.see(report, self.learner.best_weights())
        self._save(report, progress)
        return report

    def repeat_best(self, progress: int) -> EpochReport:
        """The best report so far in place of a round of training; the last one is scored on all validation pairs."""
        assert self.patience is not None and self.patience.report is not None
        self.learner.keep(self.patience.weights)
        if progress == self.rounds.last:
            untrained = Trained(self.patience.report.score("train_loss"), 0, 0.0, GpuFigures())
            report = self._validate(untrained, progress)
        else:
            report = self.patience.repeat(
                self.rounds.epoch(progress), self.rounds.step(progress), self._token(progress)
            )
        self._save(report, progress)
        return report

    def _save(self, report: EpochReport, progress: int) -> None:
        if self.checkpoints:
            state, unit = self.learner.state(), self.config.training.unit
            if self.patience is not None and progress < self.rounds.last:
                state["patience"] = self.patience.state()
            save_checkpoint(self.checkpoints, unit, progress, state, report.stored(), self.keep)

    def _token(self, progress: int) -> int | None:
        """The target tokens at a report; None unless progress counts them."""
        return progress if self.config.training.unit == "token" else None

    def _validate(self, trained: Trained, progress: int) -> EpochReport:
        """The report. Both losses are in nats per token without label smoothing, so they are the same quantity."""
        step = self.rounds.step(progress)
        most = self.config.training.scored_pairs if progress < self.rounds.last else None
        (valid, text), epoch = self.prepared.valid_sample(most), self.epoch(step)
        if not math.isfinite(trained.loss):
            raise Diverged(f"the training loss became {trained.loss} in epoch {epoch}")
        started = time.perf_counter()
        self.learner.evaluated.eval()
        nll_sum = self.learner.reference_loss(valid)
        if not math.isfinite(nll_sum):
            raise Diverged(f"the validation loss became {nll_sum} in epoch {epoch}")
        translations = self.learner.translate(text.source)
        bleu = corpus_bleu(translations, text.target, self.prepared.scoring)
        further = {name: metric.score(text, translations) for name, metric in self._further_metrics.items()}
        return EpochReport(
            epoch=self.rounds.epoch(progress),
            step=step,
            token=self._token(progress),
            figures={
                "train_loss": trained.loss,  # per target token, with dropout, mean over the epoch or round
                "valid_loss": nll_sum / valid.target_tokens,
                "valid_nll_per_char": nll_sum / sum(map(len, text.target)),  # comparable between vocabularies
                "valid_bleu": bleu,  # of greedy decoding, 0..100
                **{f"valid_{name}": score for name, score in further.items()},
                "tokens": trained.tokens,  # target tokens of this epoch or round
            },
            train_seconds=trained.seconds,
            eval_seconds=time.perf_counter() - started,
            gpu_memory_gib=trained.gpu.memory_gib,
            gpu_utilization=trained.gpu.utilization,
        )
