"""Reports of trials, and lines of a journal, of which a test says what matters to it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from search.record.journal import JournalLine
from trainables.base.report import EpochReport

FIGURES = {"train_loss": 1.0, "valid_loss": 1.0, "valid_nll_per_char": 1.0, "valid_bleu": 0.0, "tokens": 100}


def make_report(epoch: float = 1, valid_bleu: float = 0.0, **values: Any) -> EpochReport:
    figures = {name: values.pop(name, usual) for name, usual in FIGURES.items()} | {"valid_bleu": valid_bleu}
    return EpochReport(
        **{"epoch": epoch, "step": int(epoch), "train_seconds": 1.0, "eval_seconds": 0.0, **values}, figures=figures
    )


def line_of(trial: int, epoch: float = 1, clock: float | None = None, **values: Any) -> JournalLine:
    return JournalLine(trial, make_report(epoch, **values), clock)


def write_lines(file: Path, lines: Iterable[JournalLine]) -> None:
    """A journal, as version 0.1 wrote it."""
    file.write_text("".join(f"{json.dumps(line.stored())}\n" for line in lines))
