"""The metrics of a search's finals: that of the ranking, and those beside it, on each test."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search.finals.results import keep_statistics, kept_statistics
from search.finals.stages import FinalModel, Statistics, TestMetric
from search.settings.experiment import Experiment
from search.translation.finals_config import as_translation_finals
from search.translation.problem import LOSS, NEAR_ZERO
from search.translation.scoring import ScoredModel, signatures_on
from trainables.base.errors import UserError, did_you_mean
from trainables.base.metric_config import BUILT_IN, METRICS, MetricSettings
from trainables.base.metrics import Metric
from trainables.base.translator_config import as_translator
from trainables.data.reading.text import Split
from trainables.scoring.metrics import TranslationMetric, find_metric, sentence_metric

NEURAL = "neural"  # the name of the metric that finals.neural_metric names
NOTES = {"bleu": "BLEU is corpus BLEU; valid BLEU is of greedy search."}
BESIDE = {"BLEU": "test_bleu", "chrF++": "test_chrf", "sent.BLEU": "test_sentence_bleu"}  # columns of a short table

Tests = Mapping[str, Split]  # by their keys in `DataConfig.tests`


@dataclass(frozen=True)
class Score:
    """A column of the ranking: a metric on one test, or its mean over several."""

    metric: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in files: test_bleu, wmt24_en_de_bleu or mean_bleu."""
        return f"{'mean' if len(self.tests) > 1 else self.tests[0]}_{self.metric}"

    def of(self, result: ScoredModel) -> float:
        """The score of a model."""
        return float(np.mean([result.on(test).by(self.metric) for test in self.tests]))


class FinalMetrics:
    """The metrics by which the finalists of a search are scored on its tests."""

    def __init__(self, experiment: Experiment):
        """Raises UserError if `finals.rank_by` is not one of them, or two have the name of `finals.neural_metric`."""
        trial, finals = as_translator(experiment.trial), as_translation_finals(experiment.finals)
        own = {name: (f"metrics.{name}", trial.metrics[name]) for name in trial.metrics}
        if finals.neural_metric:
            if NEURAL in own:
                raise UserError(f"finals.neural_metric: metrics.{NEURAL} is a metric already; name one of them")
            own[NEURAL] = "finals.neural_metric", METRICS.read(finals.neural_metric)
        self.own: Mapping[str, tuple[str, MetricSettings]] = own
        self.names = [*BUILT_IN, *own]
        if finals.rank_by not in self.names:
            hint = did_you_mean(finals.rank_by, self.names)
            raise UserError(f"finals.rank_by: {finals.rank_by!r} is not a metric{hint}")
        self.data, tests = trial.data, tuple(trial.data.tests)
        self.ranked_by = Score(finals.rank_by, tests if finals.rank_tests == "mean" else tests[:1])
        every = [Score(name, (test,)) for test in tests for name in self.names]
        self.scores = [self.ranked_by, *(score for score in every if score != self.ranked_by)]
        self._found = {
            name: sentence_metric(name, own[name][1], own[name][0])
            if name in own
            else find_metric(name, trial.data, trial.metrics)
            for name in self.names
        }

    def __getitem__(self, name: str) -> TranslationMetric:
        """The metric of that name."""
        return self._found[name]

    def find(self, name: str) -> Score:
        """The score of that name in files."""
        return next(score for score in self.scores if score.name == name)

    def test_metric(self, score: Score) -> TestMetric:
        """The score as a metric of the finals."""
        metric, tests = self._found[score.metric], len(score.tests)
        place = "mean test" if tests > 1 else "test" if score.tests == ("test",) else self.data.tests[score.tests[0]]
        title = f"{place} {metric.title}"
        shown = (
            Metric(title, metric.direction, instead=LOSS, least=NEAR_ZERO)
            if score.metric == "bleu"
            else Metric(title, metric.direction, metric.digits)
        )
        own = {other: f"test_{other}" for other in self.own if f"test_{other}" != score.name}
        elsewhere = {test: f"{test}_{score.metric}" for test in self.data.tests if (test,) != score.tests}
        shown_already = {score.name, *elsewhere.values()}
        others = {heading: figure for heading, figure in BESIDE.items() if figure not in shown_already}
        return TestMetric(
            score.name,
            shown,
            short=metric.title if place in ("test", "mean test") else title,
            items="sentences",
            of_sums=lambda sums: np.mean([metric.of_sums(each) for each in np.split(sums, tests, axis=-1)], axis=0),
            bounds=metric.bounds,
            note=NOTES.get(score.metric, ""),
            beside={**own, **elsewhere, **others},
        )

    @cached_property
    def signatures(self) -> dict[str, str]:
        """How each metric is computed: sacreBLEU's signatures, and the settings of other metrics.

        A test with another number of references than the first one has signatures of its own, as wmt24_bleu.
        """
        first, *others = self.data.tests
        found = {**signatures_on(self.data, first), **self.described}
        for key in others:
            found |= {f"{key}_{name}": how for name, how in signatures_on(self.data, key).items() if how != found[name]}
        return found

    @property
    def described(self) -> dict[str, str]:
        """The settings of the metrics of the configuration."""
        return {name: _described(settings) for name, (_, settings) in self.own.items()}

    def statistics(self, score: Score, model: FinalModel, tests: Tests, result: ScoredModel) -> Statistics:
        """The statistics of each sentence of a model's translations, for each test. Raises UserError."""
        return tuple(
            self._on_test(score.metric, test, model, tests[test], result.on(test).translations) for test in score.tests
        )

    def _on_test(self, name: str, test: str, model: FinalModel, text: Split, translations: list[str]) -> np.ndarray:
        """The statistics on one test, (sentences, k); all but those of BLEU, which are fast, are kept."""
        if name == "bleu":
            return self._found[name].statistics(text, translations)
        signature = self.signatures.get(f"{test}_{name}", self.signatures[name])
        known = kept_statistics(model, f"{test}_{name}", signature)
        if known is None:
            known = self._found[name].statistics(text, translations)
            keep_statistics(model, f"{test}_{name}", signature, known)
        return known


def _described(settings: MetricSettings) -> str:
    """The settings in the notation of sacreBLEU's signatures."""
    return "|".join(f"{key}:{value}" for key, value in settings.model_dump(mode="json").items())
