"""The metrics of a search's finals: that of the ranking, and those beside it, with statistics of every sentence."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from search.finals.results import keep_statistics, kept_statistics
from search.finals.stages import FinalModel, TestMetric
from search.settings.experiment import Experiment
from search.translation.finals_config import as_translation_finals
from search.translation.problem import LOSS, NEAR_ZERO
from trainables.base.errors import UserError, did_you_mean
from trainables.base.metric_config import BUILT_IN, METRICS, MetricSettings
from trainables.base.metrics import Metric
from trainables.base.translation_config import as_translation
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.scoring.metrics import TranslationMetric, find_metric, sentence_metric

NEURAL = "neural"  # the name of the metric that finals.neural_metric names
NOTES = {"bleu": "BLEU is corpus BLEU; valid BLEU is of greedy search."}
BESIDE = {"BLEU": "test_bleu", "chrF++": "test_chrf", "sent.BLEU": "test_sentence_bleu"}  # columns of a narrow table


class FinalMetrics:
    """The metrics by which the finalists of a search are scored on the test split."""

    def __init__(self, experiment: Experiment):
        """Raises UserError if `finals.rank_by` is not one of them, or two have the name of `finals.neural_metric`."""
        trial, finals = as_translation(experiment.trial), as_translation_finals(experiment.finals)
        own = {name: (f"metrics.{name}", trial.metrics[name]) for name in trial.metrics}
        if finals.neural_metric:
            if NEURAL in own:
                raise UserError(f"finals.neural_metric: metrics.{NEURAL} is a metric already; name one of them")
            own[NEURAL] = "finals.neural_metric", METRICS.read(finals.neural_metric)
        self.own: Mapping[str, tuple[str, MetricSettings]] = own
        names = [*BUILT_IN, *own]
        if finals.rank_by not in names:
            raise UserError(f"finals.rank_by: {finals.rank_by!r} is not a metric{did_you_mean(finals.rank_by, names)}")
        self.data, self.ranked_by = trial.data, finals.rank_by
        self.names = [finals.rank_by, *(name for name in names if name != finals.rank_by)]
        self._found = {
            name: sentence_metric(name, own[name][1], own[name][0])
            if name in own
            else find_metric(name, trial.data, trial.metrics)
            for name in self.names
        }

    def __getitem__(self, name: str) -> TranslationMetric:
        """The metric of that name."""
        return self._found[name]

    def test_metric(self, name: str) -> TestMetric:
        """The metric as one of the finals."""
        metric = self._found[name]
        title = f"test {metric.title}"
        shown = (
            Metric(title, metric.direction, instead=LOSS, least=NEAR_ZERO)
            if name == "bleu"
            else Metric(title, metric.direction, metric.digits)
        )
        others = {heading: figure for heading, figure in BESIDE.items() if figure != f"test_{name}"}
        own = {other: f"test_{other}" for other in self.own if other != name}
        beside = list({**own, **others}.items()) if own else list(others.items())
        return TestMetric(
            f"test_{name}",
            shown,
            short=metric.title,
            items="sentences",
            of_sums=metric.of_sums,
            bounds=metric.bounds,
            note=NOTES.get(name, ""),
            beside=dict(beside[:2]),
        )

    @cached_property
    def signatures(self) -> dict[str, str]:
        """How each score is computed: sacreBLEU's signatures, and the settings of other metrics."""
        own = {name: _described(settings) for name, (_, settings) in self.own.items()}
        return {**scoring(self.data).signatures(), **own}

    def statistics(self, name: str, model: FinalModel, test: Split, translations: list[str]) -> np.ndarray:
        """The statistics of each sentence by a metric; all but those of BLEU, which are fast, are kept.

        Raises UserError.
        """
        metric = self._found[name]
        if name == "bleu":
            return metric.statistics(test, translations)
        signature = self.signatures[name]
        known = kept_statistics(model, f"test_{name}", signature)
        if known is None:
            known = metric.statistics(test, translations)
            keep_statistics(model, f"test_{name}", signature, known)
        return known


def _described(settings: MetricSettings) -> str:
    """The settings in the notation of sacreBLEU's signatures."""
    return "|".join(f"{key}:{value}" for key, value in settings.model_dump(mode="json").items())
