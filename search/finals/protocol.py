"""The interface for the finals of a problem: how retrained finalists are tested, described and kept."""

from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console

from search.finals.board import DataSize, Leaderboard
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel, Statistics, TestMetric
from search.settings.experiment import Experiment


class Finals(Protocol):
    """Tests and keeps finalists; one of the three parts of a problem. The argument `test` is what `open` returned."""

    def metrics(self, experiment: Experiment) -> Sequence[TestMetric]:
        """The metrics by which finalists are scored on the test data: first that of the ranking. Raises UserError."""
        ...

    def check(self, experiment: Experiment) -> None:
        """Check, before any training, that the finals can do what the configuration asks. Raises UserError."""
        ...

    def open(self, experiment: Experiment, why: str) -> Any:
        """Read the test data, which must not be read before; each opening is recorded. Raises UserError."""
        ...

    def test(
        self, models: list[FinalModel], test: Any, experiment: Experiment, gpus: float, console: Console
    ) -> list[Any]:
        """The results of the models, each a `Tested`, in their order. Ray is running. Raises UserError.

        gpus: for each trial. Results are kept beside the models and reused.
        """
        ...

    def statistics(self, metric: TestMetric, entry: Entry, test: Any, experiment: Experiment) -> list[Statistics]:
        """For each model of an entry the statistics of each item, whose sums give the score.

        One row alone is the score of all items together, of which no interval can be computed.
        """
        ...

    def figures(self, entry: Entry, experiment: Experiment) -> dict[str, float | None]:
        """Other figures of an entry for the leaderboard, by name; means over its seeds."""
        ...

    def data(self, experiment: Experiment, test: Any) -> DataSize | None:
        """The size of the data, for the leaderboard; None if unknown."""
        ...

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        """For each score a text that says how it was computed, such as sacreBLEU's signature."""
        ...

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        """Whether the models of an entry have learnt nothing."""
        ...

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        """Write best/ into the run directory: the best model with everything that is needed to use it."""
        ...

    def read_best(self, experiment: Experiment) -> Any:
        """The model that `keep_best` wrote, ready to use. Raises UserError."""
        ...

    def describe_data(self, board: Leaderboard) -> str:
        """A line about the data, for the head of the report."""
        ...

    def sections(self, entries: list[Entry], test: Any, board: Leaderboard, experiment: Experiment) -> str:
        """Sections of the report for this problem, as HTML. `keep_best` was called before."""
        ...
