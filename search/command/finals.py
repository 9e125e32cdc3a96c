"""The finals of translation by a command; see `search.finals.protocol.Finals`."""

from statistics import fmean

from rich.console import Console

from search.command.best import BestCommand, read_best, write_best
from search.command.finals_config import command_of
from search.command.scoring import CommandMetrics, CommandResult, Tests, translate_tests
from search.command.sections import write_sections
from search.finals.board import DataSize, Leaderboard
from search.finals.items import choose_best
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel, Statistics, TestMetric
from search.settings.experiment import Experiment
from search.translation.sentences import study_sentences
from search.translation.text import size_of_text
from trainables.data.corpora.corpus import read_test
from trainables.scoring.metrics import check_metric


class CommandFinalsPart:
    """See `search.finals.protocol.Finals`; `test` has the test splits by their keys."""

    def metrics(self, experiment: Experiment) -> list[TestMetric]:
        return CommandMetrics(experiment).test_metrics()

    def check(self, experiment: Experiment) -> None:
        metrics = CommandMetrics(experiment)
        for name in metrics.own:
            check_metric(f"metrics.{name}", metrics.own[name])

    def open(self, experiment: Experiment, why: str) -> Tests:
        data = command_of(experiment).data
        return {key: read_test(data, experiment.run_dir, why, key) for key in data.tests}

    def test(
        self, models: list[FinalModel], test: Tests, experiment: Experiment, gpus: float, console: Console
    ) -> list[CommandResult]:
        with console.status("translating the test split by the command"):
            texts = translate_tests(models, test, experiment.cache, gpus)
        metrics = CommandMetrics(experiment)
        return [metrics.score(model, test, each) for model, each in zip(models, texts, strict=True)]

    def statistics(self, metric: TestMetric, entry: Entry, test: Tests, experiment: Experiment) -> list[Statistics]:
        metrics = CommandMetrics(experiment)
        pairs = zip(entry.models, entry.results, strict=True)
        return [(metrics.statistics(metric.name, model, test, result.texts),) for model, result in pairs]

    def figures(self, entry: Entry, experiment: Experiment) -> dict[str, float | None]:
        results: list[CommandResult] = entry.results
        others = list(results[0].scores)[1:]
        return {
            **{name: fmean(result.scores[name] for result in results) for name in others},
            **{name: entry.valid(name) for name in command_of(experiment).command.metrics},
        }

    def data(self, experiment: Experiment, test: Tests) -> DataSize:
        return size_of_text(command_of(experiment).data, experiment.cache, test)

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        return CommandMetrics(experiment).signatures()

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        return False

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        """The model of the seed that was best by the search's metric."""
        model = choose_best(entry.models, experiment.search)
        result = entry.results[entry.models.index(model)]
        write_best(experiment, model, result.translations)

    def read_best(self, experiment: Experiment) -> BestCommand:
        return read_best(experiment)

    def describe_data(self, board: Leaderboard) -> str:
        assert board.corpus
        return board.corpus.describe()

    def sections(self, entries: list[Entry], test: Tests, board: Leaderboard, experiment: Experiment) -> str:
        sentences = study_sentences(self, entries, test, experiment)
        return write_sections(sentences, board, experiment)


FINALS = CommandFinalsPart()
