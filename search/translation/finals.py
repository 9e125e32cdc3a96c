"""The finals of translation: finalists are decoded, scored by BLEU, and kept for `translate`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from rich.console import Console

from search.finals.board import DataSize, Leaderboard
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel, TestMetric
from search.settings.experiment import Experiment
from search.translation.best import BestModel, read_best, write_best
from search.translation.bleu_statistics import bleu_of_sums, sentence_statistics
from search.translation.exporting import export_best
from search.translation.finals_config import as_translation_finals
from search.translation.neural_metric import load_metric, neural_score
from search.translation.problem import LOSS, NEAR_ZERO, TRANSLATION
from search.translation.scoring import ScoredModel, load_final, score_all
from search.translation.sections import write_sections
from trainables.base.metrics import Metric
from trainables.base.translation_config import as_translation
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import read_test
from trainables.data.corpora.scoring import scoring
from trainables.data.encoding.preparing import prepare
from trainables.data.reading.text import Split
from trainables.export.forms import FORMS

BLEU = Metric("test BLEU", "maximize", instead=LOSS, least=NEAR_ZERO)


def choose_best(entry: Entry) -> tuple[FinalModel, ScoredModel]:
    """The model and result of the best seed on the validation split; by loss if BLEU can't compare them."""
    pairs: list[tuple[FinalModel, ScoredModel]] = list(zip(entry.models, entry.results, strict=True))
    comparable = TRANSLATION.metrics["valid_bleu"].tells_apart([result.valid_bleu for _, result in pairs])
    return max(pairs, key=lambda pair: (pair[1].valid_bleu if comparable else 0, -pair[0].valid[LOSS]))


class TranslationFinals:
    """See `search.finals.protocol.Finals`; `test` is the test split."""

    metric = TestMetric(
        "test_bleu",
        BLEU,
        short="BLEU",
        items="sentences",
        of_sums=bleu_of_sums,
        bounds=(0.0, 100.0),
        note="BLEU is corpus BLEU; valid BLEU is of greedy search.",
        beside={"chrF++": "test_chrf", "sent.BLEU": "test_sentence_bleu"},
    )

    def check(self, experiment: Experiment) -> None:
        if name := as_translation_finals(experiment.finals).neural_metric:
            load_metric(name)
        for form in as_translation_finals(experiment.finals).export:
            FORMS[form].need(f"finals.export: {form}")

    def open(self, experiment: Experiment, why: str) -> Split:
        return read_test(as_translation(experiment.trial).data, experiment.run_dir, why)

    def test(
        self, models: list[FinalModel], test: Split, experiment: Experiment, gpus: float, console: Console
    ) -> list[ScoredModel]:
        with console.status("translating the test split"):
            results = score_all(models, test, experiment, gpus)
        if name := as_translation_finals(experiment.finals).neural_metric:
            with console.status(f"scoring by {name}"):
                files = [model.folder / "neural.json" for model in models]
                results = [
                    replace(result, neural=neural_score(name, file, model.identity, test, result.translations))
                    for file, model, result in zip(files, models, results, strict=True)
                ]
        return results

    def statistics(self, results: Sequence[ScoredModel], test: Split, experiment: Experiment) -> list[np.ndarray]:
        metrics = scoring(as_translation(experiment.trial).data)
        return [sentence_statistics(result.translations, test.target, metrics) for result in results]

    def figures(self, entry: Entry) -> dict[str, float | None]:
        results: list[ScoredModel] = entry.results
        likelihoods = [result.nll_per_char for result in results if result.nll_per_char is not None]
        neural = [result.neural for result in results if result.neural is not None]
        return {
            "test_chrf": fmean(result.scores.chrf for result in results),
            "test_ter": fmean(result.scores.ter for result in results),
            "test_sentence_bleu": fmean(result.scores.sentence_bleu for result in results),
            # None if learned positions end before the longest sentence.
            "test_ppl_per_char": math.exp(fmean(likelihoods)) if likelihoods else None,
            **({"test_neural": fmean(neural)} if neural else {}),
            "valid_bleu": fmean(result.valid_bleu for result in results),
            LOSS: entry.valid(LOSS),
            "beam_size": results[0].decoding.beam_size,
            "length_penalty": results[0].decoding.length_penalty,
        }

    def data(self, experiment: Experiment, test: Split) -> DataSize:
        data = as_translation(experiment.trial).data
        corpus = cached_corpus(data, experiment.cache)
        return DataSize(
            path=data.path,
            source=data.source,
            target=data.target,
            train_pairs=len(corpus.train),
            valid_pairs=len(corpus.valid),
            test_pairs=len(test),
        )

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        return scoring(as_translation(experiment.trial).data).signatures()

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        """Whether its loss is no lower than that of predicting the frequencies of pieces."""
        config = as_translation(entry.models[0].config)
        untrained = prepare(config.data, config.tokenizer, experiment.cache).untrained_nll_per_char
        return entry.valid(LOSS) >= untrained

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        model, result = choose_best(entry)
        network, tokenizer = load_final(model, experiment.cache)
        best = BestModel(as_translation(model.config), network, tokenizer, result.decoding)
        write_best(experiment.run_dir, best, result.translations)
        export_best(best, experiment)

    def read_best(self, experiment: Experiment) -> BestModel:
        return read_best(experiment.run_dir)

    def describe_data(self, board: Leaderboard) -> str:
        size = board.corpus
        assert size
        name = size.path.rstrip("/").rpartition("/")[2]
        return (
            f"{size.source} to {size.target}, {name}: {size.train_pairs:,} training, {size.valid_pairs:,} validation, "
            f"{size.test_pairs:,} test pairs"
        )

    def sections(self, entries: list[Entry], test: Split, board: Leaderboard, experiment: Experiment) -> str:
        return write_sections(entries, test, board, experiment)


FINALS = TranslationFinals()
