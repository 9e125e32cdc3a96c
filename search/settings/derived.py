"""What follows from the fields of an experiment: its trials, its space, where its run is."""

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ValidationError

from search.schedulers import Task
from search.settings.conditions import Condition, known_fields, read_condition
from search.settings.fields import ExperimentFields
from search.settings.first import Around
from search.settings.goals import PARAMETERS
from search.settings.problem import Problem
from search.space.space import Params
from trainables.base.config import TrainingConfig, TrialConfig

PROBES = 1000  # an infinite space counts as empty when so many draws have failed


class DerivedExperiment(ExperimentFields):
    """The fields of a search, and what follows from them."""

    definition: ClassVar[Problem]

    if TYPE_CHECKING:  # the fields that the trials of every problem have
        training: TrainingConfig
        seed: int

        def with_values(self, values: dict[str, Any]) -> Self:
            """A copy in which each dotted path has the given value, validated again."""
            ...

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of `search.where`. Raises ValueError for one that is not understood."""
        known = known_fields(self.as_given)
        return tuple(read_condition(text, known) for text in self.search.where)

    @property
    def around(self) -> Around:
        """The space around the base."""
        return Around(self.trial, self.space, self.acceptance(), self.probes)

    def first_trials(self) -> list[Params]:
        """The trials that the search begins with. Raises ValueError for some that the space can't have."""
        try:
            return self.around.first(self.search.first)
        except ValueError as error:
            raise ValueError(f"search.{error}") from None

    def probes(self) -> Iterator[Params]:
        """All combinations of a small space, or PROBES draws of a larger one; valid or not."""
        if self.space.size() <= PROBES:
            yield from self.space.grid()
            return
        rng = random.Random(0)
        for _ in range(PROBES):
            yield {path: domain.at(rng.random()) for path, domain in self.space.domains.items()}

    @property
    def trial(self) -> TrialConfig:
        """The base that the space varies."""
        trial = self.as_given.reporting(self.search.metric)
        for name in self.search.besides:
            trial = trial.reporting(name)
        return trial

    @property
    def as_given(self) -> TrialConfig:
        """The base as the user gave it, which may report other metrics."""
        config = self.definition.config
        return config(**{name: getattr(self, name) for name in config.model_fields})

    def accept(self, params: Params) -> Params | None:
        """The parameters without those that the others make unused; None if they make no valid trial."""
        return self.acceptance()(params)

    def acceptance(self) -> Callable[[Params], Params | None]:
        """The function `accept`, for many calls: what they have in common is computed once."""
        base, search, refusal, conditions = self.trial, self.search, self.definition.refusal, self.conditions
        most = search.most.get(PARAMETERS, math.inf)

        def accept(params: Params) -> Params | None:
            try:
                config = base.with_values(params)
            except ValidationError:
                return None
            if most < math.inf and (config.num_parameters or 0) > most:
                return None
            if search.exportable and refusal and refusal(search.exportable, config):
                return None
            if not all(condition.allows(config) for condition in conditions):
                return None
            unused = config.unused
            return {path: value for path, value in params.items() if path not in unused}

        return accept

    @property
    def rungs(self) -> tuple[int, ...]:
        """The progress at which a trial may be stopped; none without a scheduler."""
        return self.search.scheduler.all_rungs(self.training.epochs)

    @property
    def scheduler_task(self) -> Task:
        """What a scheduler needs to know of the search."""
        search = self.search
        return Task(self.training, self.space, search.trials, search.seed)

    @property
    def num_finals(self) -> int:
        """The number of retrainings in the finals, if there are enough finalists."""
        return int(min(self.finals.top, self.search.trials or math.inf, self.space.size())) * self.finals.seeds

    @property
    def run_dir(self) -> Path:
        """The directory of the run."""
        assert self.name, "the command line names the run"
        return Path(self.output_dir) / self.name

    @property
    def run_url(self) -> str:
        """The address of the run in its storage."""
        return f"{self.storage}/{self.name}"

    @property
    def cache(self) -> Path:
        """The cache, which all runs of an output directory share."""
        return Path(self.output_dir) / ".cache"
