"""Scores of finalists that a command trains: the test is translated by the command, and scored here."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.command.finals_config import CommandFinals, command_of
from search.command.problem import NEAR_ZERO, instead_of_bleu
from search.finals.remotely import Remotely
from search.finals.results import keep_result, keep_statistics, kept_result, kept_statistics
from search.finals.stages import FinalModel, TestMetric
from search.settings.experiment import Experiment
from trainables.base.checkpoint_files import last_checkpoints
from trainables.base.errors import UserError, did_you_mean
from trainables.base.metric_config import BUILT_IN
from trainables.base.metrics import Metric
from trainables.base.sealing import Damaged
from trainables.command.config import CommandConfig
from trainables.command.translating import translate_lines
from trainables.data.corpora.corpus import count_references
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.scoring.metrics import TranslationMetric, find_metric

Tests = Mapping[str, Split]  # by their keys in `DataConfig.tests`


@dataclass(frozen=True)
class CommandResult:
    """One trained model on the tests."""

    seed: int
    texts: dict[str, list[str]]  # the translations of each test, by its key
    scores: dict[str, float]  # such as test_bleu; first that of the ranking

    @property
    def score(self) -> float:
        """The score of the ranking."""
        return next(iter(self.scores.values()))

    @property
    def translations(self) -> list[str]:
        """The translations of the first test."""
        return self.texts["test"]

    @property
    def num_parameters(self) -> int | None:
        """Unknown, as the trainer does not say it."""
        return None


class CommandMetrics:
    """The metrics of the finals: each on each test, first that of the ranking."""

    def __init__(self, experiment: Experiment):
        """Raises UserError if `finals.rank_by` is not one of them."""
        trial, finals = command_of(experiment), experiment.finals
        assert isinstance(finals, CommandFinals)
        self.data, self.own = trial.data, trial.metrics
        self._instead = instead_of_bleu(trial)
        names = [*BUILT_IN, *trial.metrics]
        if finals.rank_by not in names:
            raise UserError(f"finals.rank_by: {finals.rank_by!r} is not a metric{did_you_mean(finals.rank_by, names)}")
        ordered = sorted(names, key=lambda name: name != finals.rank_by)
        self.places = {f"{test}_{name}": (test, name) for test in trial.data.tests for name in ordered}
        self._found = {name: find_metric(name, trial.data, trial.metrics) for name in names}

    def metric(self, name: str) -> TranslationMetric:
        """The metric of a score such as test_bleu."""
        return self._found[self.places[name][1]]

    def test_metrics(self) -> list[TestMetric]:
        """The scores as metrics of the finals."""
        return [self._test_metric(name) for name in self.places]

    def _test_metric(self, name: str) -> TestMetric:
        metric, (test, _) = self.metric(name), self.places[name]
        title = f"{'test' if test == 'test' else self.data.tests[test]} {metric.title}"
        shown = Metric(title, metric.direction, metric.digits)
        if metric.name == "bleu":
            shown = Metric(title, metric.direction, metric.digits, instead=self._instead, least=NEAR_ZERO)
        return TestMetric(
            name,
            shown,
            short=metric.title if test == "test" else title,
            items="sentences",
            of_sums=metric.of_sums,
            bounds=metric.bounds,
            beside={
                self.metric(other).title: other for other in self.places if other != name and other.startswith("test_")
            },
        )

    def score(self, model: FinalModel, tests: Tests, texts: dict[str, list[str]]) -> CommandResult:
        """The result of a model with these translations of each test. Raises UserError."""
        scores: dict[str, float] = {}
        for name, (test, metric) in self.places.items():
            statistics = self.statistics(name, model, tests, texts)
            if not scores and len(statistics) < len(tests[test]):
                raise UserError(
                    f"finals.rank_by: {metric} gives one score for the whole text, and a ranking needs one for each "
                    "sentence; rank by another metric: resume with --finals.rank_by"
                )
            scores[name] = float(self.metric(name).of_sums(statistics.sum(axis=0)))
        return CommandResult(model.config.seed, texts, scores)

    def statistics(self, name: str, model: FinalModel, tests: Tests, texts: dict[str, list[str]]) -> np.ndarray:
        """The statistics of each sentence, (sentences, k); all but those of BLEU, which are fast, are kept.

        Raises UserError.
        """
        test, metric = self.places[name]
        if metric == "bleu":
            return self.metric(name).statistics(tests[test], texts[test])
        signature = self.signatures(test)[metric]
        known = kept_statistics(model, name, signature)
        if known is None:
            known = self.metric(name).statistics(tests[test], texts[test])
            keep_statistics(model, name, signature, known)
        return known

    def signatures(self, test: str = "test") -> dict[str, str]:
        """How each metric is computed on a test: sacreBLEU's signatures, and the settings of other metrics."""
        own = {name: self.own[name].model_dump_json() for name in self.own}
        return {**scoring(self.data).signatures(count_references(self.data, test)), **own}


def translate_tests(models: Sequence[FinalModel], tests: Tests, cache: Path, gpus: float) -> list[dict[str, list[str]]]:
    """The translations of all tests by each model, in all of Ray's slots; they are kept beside the model and reused.

    Raises UserError.
    """
    sources = {key: list(test.source) for key, test in tests.items()}
    found = [_known(model, sources) for model in models]
    asked = {place: (model, sources, cache) for place, model in enumerate(models) if found[place] is None}
    for place, texts in Remotely(gpus).call(translate_by, asked):
        keep_result(models[place], "test.json", {"translations": texts})
        found[place] = texts
    return [texts for texts in found if texts is not None]


def translate_by(model: FinalModel, sources: dict[str, list[str]], cache: Path) -> dict[str, list[str]]:
    """The translations of each text by a trained model. Raises UserError."""
    assert isinstance(model.config, CommandConfig)
    with model.checkpoints(cache) as folder:
        (checkpoint,) = last_checkpoints(folder, 1)
        return {key: translate_lines(model.config, checkpoint, lines, cache) for key, lines in sources.items()}


def _known(model: FinalModel, sources: Mapping[str, list[str]]) -> dict[str, list[str]] | None:
    """The kept translations; None if they are missing, damaged, or those of other tests."""
    with suppress(Damaged, KeyError, TypeError):
        texts: dict[str, list[str]] = kept_result(model, "test.json")["translations"]
        if {key: len(lines) for key, lines in texts.items()} == {key: len(lines) for key, lines in sources.items()}:
            return texts
    return None
