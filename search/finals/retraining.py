"""A finished training whose checkpoints were damaged, done again from the last whole one."""

import math
from collections.abc import Sequence
from pathlib import Path

from trainables.acceleration.captured import choose_step
from trainables.base.checkpoint_files import KEEP, checkpoint_number, last_checkpoints, whole_checkpoint
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.files import remove
from trainables.base.report import EpochReport
from trainables.data.preparing import prepare
from trainables.training.loop import train

SAME_LOSS = 0.01  # relative difference that rounding on another device may make


def train_again(
    config: TrialConfig,
    cache: Path,
    checkpoints: Path,
    reports: Sequence[EpochReport],
    averaged: int,
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
    prepared = prepare(config.data, config.tokenizer, cache)
    for report, _ in train(config, prepared, checkpoints, keep=max(KEEP, averaged), make_step=choose_step):
        loss = report.valid_nll_per_char
    if not math.isclose(loss, known := reports[-1].valid_nll_per_char, rel_tol=SAME_LOSS):
        raise UserError(
            f"{name}: was damaged and is trained again, but its validation loss per character is {loss:.4f} now, and "
            f"was {known:.4f}: restore it from a copy"
        )
    return True
