"""The table of metrics of translations: those that are built in, and those that a configuration adds."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

from trainables.base.data_config import DataConfig
from trainables.base.errors import MetricFails, UserError, did_you_mean
from trainables.base.metric_config import BUILT_IN, Metrics, MetricSettings
from trainables.base.metrics import Direction
from trainables.base.user_code import import_named
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.scoring import bleu, chrf, ter

Statistics = Callable[[Split, Sequence[str]], np.ndarray]  # of a text and its translations


class Scorer(Protocol):
    """Scores sentences by one metric. It is made from the key and the settings of the metric, once in a process."""

    @staticmethod
    def check(key: str, settings: Any) -> None:
        """Check, before anything is trained, what can be checked without loading a model. Raises UserError."""
        ...

    def __call__(
        self, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]
    ) -> Sequence[float] | float:
        """A score for each sentence, or one for the whole text. Raises UserError."""
        ...


@dataclass(frozen=True)
class TranslationMetric:
    """A score of the translations of a text: a function of sums over its sentences.

    So it can be computed for other samples of sentences. In most metrics the score is the mean of the sentences'
    scores; BLEU, chrF++ and TER are computed again from the sums.

    Attributes:
        name: In a report it is valid_NAME, in a ranking test_NAME.
        title: Its name for people.
        direction: Whether a higher or a lower score is better.
        recomputed: Whether a corpus score is computed from sums; otherwise it is the mean of the sentences' scores.
        digits: How many are shown after the decimal point.
        bounds: The lowest and the highest possible score.
        statistics: The statistics of each sentence, (sentences, k). One row alone belongs to the whole text.
        of_sums: Scores, (...), from summed statistics, (..., k).
    """

    name: str
    title: str
    direction: Direction
    recomputed: bool
    digits: int
    bounds: tuple[float, float]
    statistics: Statistics
    of_sums: Callable[[np.ndarray], np.ndarray]

    def score(self, text: Split, translations: Sequence[str]) -> float:
        """The score of the translations of a text. Raises UserError."""
        return float(self.of_sums(self.statistics(text, translations).sum(axis=0)))


@dataclass(frozen=True)
class _CorpusMetric:
    """A built-in metric: its title, direction and bounds, and what it computes for a language."""

    title: str
    direction: Direction
    bounds: tuple[float, float]
    statistics: Callable[..., np.ndarray]  # of translations, references, language, and further references
    of_sums: Callable[[np.ndarray], np.ndarray]


_BUILT_IN = {
    "bleu": _CorpusMetric("BLEU", "maximize", (0.0, 100.0), bleu.sentence_statistics, bleu.bleu_of_sums),
    "chrf": _CorpusMetric("chrF++", "maximize", (0.0, 100.0), chrf.sentence_statistics, chrf.chrf_of_sums),
    "ter": _CorpusMetric("TER", "minimize", (0.0, math.inf), ter.sentence_statistics, ter.ter_of_sums),
}


def find_metric(name: str, data: DataConfig, metrics: Metrics) -> TranslationMetric:
    """The metric of that name, for translations into the target language of the data. Raises UserError."""
    if name in metrics:
        return sentence_metric(name, metrics[name])
    if name not in BUILT_IN:
        raise UserError(f"metrics: has no {name}{did_you_mean(name, [*BUILT_IN, *metrics])}")
    language, kind = scoring(data), _BUILT_IN[name]
    return TranslationMetric(
        name,
        kind.title,
        kind.direction,
        recomputed=True,
        digits=2,
        bounds=kind.bounds,
        statistics=lambda text, translations: kind.statistics(
            list(translations), text.target, language, *text.references[1:]
        ),
        of_sums=kind.of_sums,
    )


def sentence_metric(name: str, settings: MetricSettings, key: str | None = None) -> TranslationMetric:
    """A metric whose corpus score is the mean over sentences, and the mean over references if there are several.

    key: of the configuration, if it is not metrics.NAME.
    """
    place = key or f"metrics.{name}"

    def by_reference(text: Split, translations: Sequence[str], reference: list[str]) -> np.ndarray:
        given = load_scorer(place, settings)(text.source, translations, reference)
        return _scores_and_counts(given, len(translations), f"{place}: {settings.kind}")

    def statistics(text: Split, translations: Sequence[str]) -> np.ndarray:
        try:
            found = [by_reference(text, translations, reference) for reference in text.references]
            return np.mean(found, axis=0)
        except UserError as error:  # the same for all trials
            raise MetricFails(str(error)) from error

    return TranslationMetric(
        name,
        name,
        settings.direction,
        recomputed=False,
        digits=4,
        bounds=(-math.inf, math.inf),
        statistics=statistics,
        of_sums=mean_of_sums,
    )


def check_metric(key: str, settings: MetricSettings) -> None:
    """Check that a metric can be used here; key: of the configuration. Raises UserError."""
    import_named(settings.scorer, key).check(key, settings)


@cache
def load_scorer(key: str, settings: MetricSettings) -> Scorer:
    """The scorer of a metric, with its model: made once in a process. Raises UserError."""
    made: Scorer = import_named(settings.scorer, key)(key, settings)
    return made


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Mean scores from sums of scores and numbers of items: (..., 2) -> (...)."""
    mean: np.ndarray = sums[..., 0] / sums[..., 1]
    return mean


def _scores_and_counts(given: object, sentences: int, place: str) -> np.ndarray:
    """The statistics of a mean: a score and 1 for each sentence, or for the whole text: (sentences or 1, 2).

    Raises UserError unless there is a finite number for each sentence, or one for all.
    """
    try:
        scores = [float(score) for score in given] if isinstance(given, Iterable) else [float(str(given))]
    except (TypeError, ValueError):
        scores = []
    if wrong := next((number for number, score in enumerate(scores, 1) if not math.isfinite(score)), None):
        raise UserError(
            f"{place} returned {scores[wrong - 1]} for sentence {wrong} of {sentences}, where a score must be a finite "
            "number; fix it, then resume"
        )
    if len(scores) != (sentences if isinstance(given, Iterable) else 1):
        raise UserError(
            f"{place} returned {str(given)[:80]}; it must return a number for each of the {sentences} sentences, or "
            "one for all; fix it, then resume"
        )
    return np.stack([np.array(scores), np.ones(len(scores))], axis=1)
