"""What a problem does with its finalists, once they are retrained: how they are tested, described and kept."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from search.finals.board import DataSize, Leaderboard
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel, TestMetric
from search.settings.experiment import Experiment


class Finals(Protocol):
    """What is done with the finalists; the third part of a problem. `test` is what `open` has given."""

    metric: TestMetric

    def check(self, experiment: Experiment) -> None:
        """Whether what the configuration asks of the finals is there, before anything is trained. Raises UserError."""
        ...

    def open(self, experiment: Experiment, why: str) -> Any:
        """The test data. They are not to be read before; each opening is recorded. Raises UserError."""
        ...

    def test(
        self, models: list[FinalModel], test: Any, experiment: Experiment, gpus: float, console: Console
    ) -> list[Any]:
        """The result of each model, a `Tested`, in their order; while Ray runs. Raises UserError.

        gpus: of a trial. Results are kept beside the models, and not made again.
        """
        ...

    def statistics(self, results: Sequence[Any], test: Any, experiment: Experiment) -> list[np.ndarray]:
        """For each result what its score sums up for each item: (items, k)."""
        ...

    def figures(self, entry: Entry) -> dict[str, float | None]:
        """What else the leaderboard has of an entry, by name; means over its seeds."""
        ...

    def data(self, experiment: Experiment, test: Any) -> DataSize | None:
        """How large the data are, for the leaderboard."""
        ...

    def signatures(self, experiment: Experiment) -> dict[str, str]:
        """How scores were computed, by score, in the notation of who computes them."""
        ...

    def is_untrained(self, entry: Entry, experiment: Experiment) -> bool:
        """Whether the models of an entry have learnt nothing."""
        ...

    def keep_best(self, entry: Entry, experiment: Experiment) -> None:
        """Write best/ of the run: the best model with all that it takes to use it."""
        ...

    def read_best(self, experiment: Experiment) -> Any:
        """What `keep_best` wrote, ready to be used. Raises UserError."""
        ...

    def describe_data(self, board: Leaderboard) -> str:
        """A line on the data, for the head of the report."""
        ...

    def sections(self, entries: list[Entry], test: Any, board: Leaderboard, experiment: Experiment) -> str:
        """What only this problem shows in the report, as HTML. `keep_best` was called before."""
        ...
