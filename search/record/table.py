"""Trials as a table: a row for each, with a value in each cell."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from search.record.journal import JournalLine, Totals
from search.record.trial import StudyTrial

SECONDS_PER_HOUR = 3600


def trial_rows(
    trials: Iterable[StudyTrial], lines: Sequence[JournalLine], metric: str, price_per_gpu_hour: float | None = None
) -> list[dict[str, Any]]:
    """A row for each trial: what became of it, its last score, its cost, and its hyperparameters.

    metric: the name of the score. lines: the reports of the search. Dollars are only there if a price is given.
    """
    totals, rows = Totals(lines), []
    for trial in trials:
        seconds = totals.seconds_of.get(trial.number, 0.0)
        cost = {} if price_per_gpu_hour is None else {"dollars": seconds / SECONDS_PER_HOUR * price_per_gpu_hour}
        rows.append(
            {
                "trial": trial.number,
                "outcome": str(trial.outcome),
                "epochs": trial.epochs,
                metric: trial.scores[trial.progress] if trial.scores else None,
                "device_seconds": seconds,
                **cost,
                "message": trial.attributes.message,
                **trial.params,
            }
        )
    return rows


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, with a column for each key of any of them; an empty cell for None or a missing key."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
