"""The finals of translation: finalists are decoded, scored by BLEU, and kept for `translate`."""

import math
from dataclasses import replace
from statistics import fmean
from typing import Any

from rich.console import Console

from search.finals.board import DataSize, Leaderboard
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel, Statistics, TestMetric
from search.settings.experiment import Experiment
from search.settings.goals import MEMORY, SECONDS
from search.settings.searching import SearchConfig
from search.translation.exporting import export_best
from search.translation.final_metrics import FinalMetrics, Score, Tests
from search.translation.memory import memory_of
from search.translation.problem import LOSS, TRANSLATION
from search.translation.scoring import ScoredModel, score_all
from search.translation.sections import write_sections
from search.translation.sentences import study_sentences
from search.translation.speeds import seconds_of_finalists
from search.translation.systems import Systems
from search.translation.text import size_of_text
from search.translation.trained import TransformerSystems
from trainables.base.errors import UserError
from trainables.base.metric_config import BUILT_IN
from trainables.base.translation_config import as_translation
from trainables.base.translator_config import as_translator
from trainables.data.corpora.corpus import read_test
from trainables.scoring.metrics import check_metric

BLEU = Score("bleu", ("test",))
BUILT_IN_SCORES = tuple(f"test_{name}" for name in BUILT_IN)


def choose_best(entry: Entry, search: SearchConfig) -> tuple[FinalModel, ScoredModel]:
    """The model and result of the best seed on the validation split.

    By BLEU, or loss if BLEU can't compare them; by the search's metric if that is another score of translations.
    """
    pairs: list[tuple[FinalModel, ScoredModel]] = list(zip(entry.models, entry.results, strict=True))
    if search.metric not in TRANSLATION.metrics:
        return max(pairs, key=lambda pair: search.compared_by.worth(pair[0].valid[search.metric]))
    comparable = TRANSLATION.metrics["valid_bleu"].tells_apart([result.valid_bleu for _, result in pairs])
    return max(pairs, key=lambda pair: (pair[1].valid_bleu if comparable else 0, -pair[0].valid[LOSS]))


class TranslationFinals:
    """The finals of translators. See `search.finals.protocol.Finals`; `test` has the test splits by their keys."""

    def __init__(self, systems: Systems):
        """systems: how the models of the problem are read, and kept."""
        self.systems = systems

    def metrics(self, experiment: Experiment) -> list[TestMetric]:
        found = FinalMetrics(experiment)
        return [found.test_metric(score) for score in found.scores]

    def check(self, experiment: Experiment) -> None:
        for key, settings in FinalMetrics(experiment).own.values():
            check_metric(key, settings)
        self.systems.check(experiment)

    def open(self, experiment: Experiment, why: str) -> Tests:
        data = as_translator(experiment.trial).data
        return {key: read_test(data, experiment.run_dir, why, key) for key in data.tests}

    def test(
        self, models: list[FinalModel], test: Tests, experiment: Experiment, gpus: float, console: Console
    ) -> list[ScoredModel]:
        with console.status("translating the test split"):
            results = score_all(self.systems, models, test, experiment, gpus)
        metrics = FinalMetrics(experiment)
        own = [score for score in metrics.scores if score.metric in metrics.own and len(score.tests) == 1]
        for score in own:
            with console.status(f"scoring by {score.metric}"):
                for model, result in zip(models, results, strict=True):
                    (statistics,) = metrics.statistics(score, model, test, result)
                    if score.metric == metrics.ranked_by.metric and len(statistics) < len(test[score.tests[0]]):
                        raise UserError(
                            f"finals.rank_by: {score.metric} gives one score for the whole text, and a ranking needs "
                            "one for each sentence; rank by another metric: resume with --finals.rank_by"
                        )
                    further = result.on(score.tests[0]).further
                    further[score.metric] = float(metrics[score.metric].of_sums(statistics.sum(axis=0)))
        if metrics.ranked_by != BLEU:
            results = [replace(result, ranked=metrics.ranked_by.of(result)) for result in results]
        if SECONDS not in (*experiment.search.besides, *experiment.search.limits):
            return results
        timings = seconds_of_finalists(experiment, [as_translation(model.config) for model in models], console)
        return [
            replace(result, seconds=timing.seconds_per_sentence, seconds_error=timing.error)
            for result, timing in zip(results, timings, strict=True)
        ]

    def statistics(self, metric: TestMetric, entry: Entry, test: Tests, experiment: Experiment) -> list[Statistics]:
        metrics = FinalMetrics(experiment)
        score = metrics.find(metric.name)
        return [
            metrics.statistics(score, model, test, result)
            for model, result in zip(entry.models, entry.results, strict=True)
        ]

    def figures(self, entry: Entry, experiment: Experiment) -> dict[str, float | None]:
        results: list[ScoredModel] = entry.results
        likelihoods = [result.nll_per_char for result in results if result.nll_per_char is not None]
        others = {score.name: fmean(map(score.of, results)) for score in FinalMetrics(experiment).scores[1:]}
        reported = as_translator(entry.models[0].config).training.valid_metrics
        seconds, error = results[0].seconds, results[0].seconds_error
        speed: dict[str, float | None] = {} if seconds is None else {SECONDS: seconds, f"{SECONDS}_error": error}
        return {
            **{name: others.pop(name) for name in BUILT_IN_SCORES if name in others},
            "test_sentence_bleu": fmean(result.scores.sentence_bleu for result in results),
            # None if learned positions end before the longest sentence.
            "test_ppl_per_char": math.exp(fmean(likelihoods)) if likelihoods else None,
            **others,
            "valid_bleu": fmean(result.valid_bleu for result in results),
            **{f"valid_{name}": entry.valid(f"valid_{name}") for name in reported},
            LOSS: entry.valid(LOSS),
            **speed,
            **self._memory(entry, experiment),
            "beam_size": results[0].decoding.beam_size,
            "length_penalty": results[0].decoding.length_penalty,
        }

    def _memory(self, entry: Entry, experiment: Experiment) -> dict[str, float]:
        asked = MEMORY in (*experiment.search.besides, *experiment.search.limits)
        return {MEMORY: memory_of(experiment)(entry.models[0].config)} if asked else {}

    def data(self, experiment: Experiment, test: Tests) -> DataSize:
        return size_of_text(as_translator(experiment.trial).data, experiment.cache, test)

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        return FinalMetrics(experiment).signatures

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        """Whether its loss is no lower than that of a model that has learnt nothing."""
        return entry.valid(LOSS) >= self.systems.untrained_nll_per_char(entry.models[0].config, experiment)

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        model, result = choose_best(entry, experiment.search)
        self.systems.write_best(model, result.decoding, result.translations, experiment)
        export_best(self.systems, experiment)

    def read_best(self, experiment: Experiment) -> Any:
        return self.systems.read_best(experiment)

    def describe_data(self, board: Leaderboard) -> str:
        assert board.corpus
        return board.corpus.describe()

    def sections(self, entries: list[Entry], test: Tests, board: Leaderboard, experiment: Experiment) -> str:
        sentences = study_sentences(self, entries, test, experiment)
        return write_sections(sentences, test["test"], board, experiment, self.systems)


FINALS = TranslationFinals(TransformerSystems())
