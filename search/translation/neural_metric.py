"""A further score of translations by a user's function, which is only imported if it is named."""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from trainables.base.errors import UserError
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.base.user_code import import_callable
from trainables.data.reading.text import Split

Metric = Callable[[list[str], list[str], list[str]], object]  # takes sources, translations, references


def load_metric(name: str) -> Metric:
    """The function that `finals.neural_metric` names, which may be in the working directory. Raises UserError."""
    return import_callable(name, "finals.neural_metric")


def neural_score(name: str, file: Path, model: str, text: Split, translations: list[str]) -> float:
    """The mean score of a model's translations of a text; it is kept in the file. Raises UserError."""
    kept: dict[str, Any] = {}
    with suppress(Damaged):  # then it is scored again
        kept = read_sealed(file)
    if kept.get("metric") != name or kept.get("model", model) != model:
        kept = {"metric": name, "model": model, "score": _score(name, text.source, translations, text.target)}
        write_sealed(file, kept)
    return float(kept["score"])


def _score(name: str, source: list[str], translations: list[str], references: list[str]) -> float:
    metric = load_metric(name)
    try:
        given = metric(source, translations, references)
    except Exception as error:  # the user's code may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"finals.neural_metric: {name} raised {reason}; fix it, then resume") from error
    score = _mean(given, len(translations))
    if score is None:
        raise UserError(
            f"finals.neural_metric: {name} returned {str(given)[:80]}; it must return a number for each of the "
            f"{len(translations)} sentences, or one for all; fix it, then resume"
        )
    return score


def _mean(given: object, sentences: int) -> float | None:
    """The mean score; None if it is not finite, or there is not one number for each sentence or for all."""
    try:
        values = [float(value) for value in given] if isinstance(given, Iterable) else [float(str(given))] * sentences
    except (TypeError, ValueError):
        return None
    return fmean(values) if len(values) == sentences and all(map(math.isfinite, values)) else None
