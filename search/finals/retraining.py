"""Repeats the end of a finished training if its last checkpoints are damaged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.settings.problem import Problem
from trainables.base.checkpoint_files import KEEP, checkpoint_number, last_checkpoints, whole_checkpoint
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged, UserError
from trainables.base.files import remove
from trainables.base.report import EpochReport

SAME_SCORE = 0.01  # the relative difference that rounding on another device can make


@dataclass(frozen=True)
class FinishedTraining:
    """A training that ran to its last epoch."""

    config: TrialConfig
    checkpoints: Path
    reports: Sequence[EpochReport]  # the last one last


def train_again(problem: Problem, training: FinishedTraining, needed: int, cache: Path) -> bool:
    """Train again if one of the `needed` last checkpoints is missing or damaged. Returns whether it did.

    Raises UserError if the new training gives another model.
    """
    config, checkpoints, reports = training.config, training.checkpoints, training.reports
    unit = config.training.unit
    wanted = [f"{unit}-{report.progress(unit)}" for report in reports[-needed:]]
    damaged = [name for name in wanted if whole_checkpoint(checkpoints / name) is None]
    if not damaged:
        return False
    for path in checkpoints.glob(f"{unit}-*"):  # training continues from the newest checkpoint that is left
        if (checkpoint_number(path.name) or 0) >= (checkpoint_number(damaged[0]) or 0):
            remove(path)
    name = checkpoints / damaged[0]
    inherited = reports[0].progress(unit) > config.training.report_every
    if inherited and not last_checkpoints(checkpoints, 1):
        raise UserError(f"{name}: is damaged, and its training continued another trial's; restore it from a copy")
    metrics = {**problem.metrics, **problem.further_metrics(config)}
    first, metric = next(iter(metrics.items()))
    figure = metric.instead or first  # a loss, if possible, as every change of a weight changes it
    known, now = reports[-1].score(figure), math.nan
    for _, report in problem.part("training").train([config], cache, [checkpoints], 1, max(KEEP, needed)):
        now = math.nan if isinstance(report, Diverged) else report.score(figure)
    if not math.isclose(now, known, rel_tol=SAME_SCORE):
        raise UserError(
            f"{name}: was damaged and is trained again, but its {metrics[figure].title} is {now:.4f} now, and "
            f"was {known:.4f}: restore it from a copy"
        )
    return True
