"""The models that the finals test, and the metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from search.finals.retraining import FinishedTraining, train_again
from search.record.journal import JournalLine
from search.settings.problem import find_problem
from trainables.base.config import TrialConfig
from trainables.base.metrics import Metric
from trainables.base.sealing import checksum
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.sharing.storage import Storage

Statistics = tuple[np.ndarray, ...]  # of a model, for each test that its score is computed from: (items, k)
Systems = Sequence[Sequence[Statistics]]  # for each system, those of its models


@dataclass(frozen=True)
class TestMetric:
    """A score on the test data, by which finalists are ranked or described.

    It is a function of sums over the items of the test data, such as sentences, so that it can be computed for other
    samples of items: `of_sums` computes the scores, (...), from summed statistics, (..., k). Statistics of several
    tests stand one after another.
    """

    name: str  # in files, such as "test_bleu"
    metric: Metric
    short: str  # in sentences and narrow columns, such as "BLEU"
    items: str  # what the test data consist of, such as "sentences"
    of_sums: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float]  # the lowest and highest possible score
    note: str = ""  # a sentence that explains it, for the report
    beside: Mapping[str, str] = field(
        default_factory=dict
    )  # heading -> figure, for further columns, the first ones first


@dataclass(frozen=True)
class FinalModel:
    """A trained model to test."""

    problem: str
    config: TrialConfig
    trial: int  # of the search
    number: int | None  # in the study of the finals; None for a model of the search itself
    train_seconds: float
    folder: Path  # with its checkpoints and results, in the run directory
    lines: Sequence[JournalLine]  # the reports of its training
    last_checkpoints: int = 1  # the number that is needed
    storage: Storage | None = None  # with its checkpoints, if it is not the folder

    @property
    def valid(self) -> Mapping[str, float]:
        """The figures in its last report."""
        return self.lines[-1].report.figures

    @property
    def identity(self) -> str:
        """A checksum of this training, which its results contain.

        Keys with their defaults are left out, so that a later version with further keys knows the results again. So is
        the number, as later finals may take the training over under another one.
        """
        config = self.config.model_dump(mode="json", exclude_defaults=True)
        return checksum([config, *({**line.stored(), "trial": None} for line in self.lines[-1:])])

    @contextmanager
    def checkpoints(self, cache: Path) -> Iterator[Path]:
        """A folder with its last checkpoints. A damaged one is trained again, from an older one or from the start.

        Raises UserError if that gives another model.
        """
        places, number = Checkpoints(self.folder.parent, self.storage), int(self.folder.name)
        with places.at_hand(number, self.last_checkpoints) as folder:
            training = FinishedTraining(self.config, folder, [line.report for line in self.lines])
            again = train_again(find_problem(self.problem), training, self.last_checkpoints, cache)
            if again and self.storage:
                self.storage.send(folder, places.key(number), self.last_checkpoints)
            yield folder

    def bring(self, cache: Path) -> Path:
        """The cache on this machine, filled from the storage if there is one."""
        if self.storage is None:
            return cache
        brought: Path = find_problem(self.problem).part("training").bring(self.config, self.storage)
        return brought


class Tested(Protocol):
    """The result of one trained model on the test data."""

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        ...

    @property
    def score(self) -> float:
        """The score by the problem's TestMetric."""
        ...

    @property
    def num_parameters(self) -> int | None:
        """The number of its parameters; None if unknown."""
        ...
