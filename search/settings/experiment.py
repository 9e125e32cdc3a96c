"""One search as one frozen value: what to train, the space around it, how to search, finals, tracking."""

import math
import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from search.schedulers import Task
from search.settings.conditions import Condition, check_types, known_fields, read_condition
from search.settings.fields import ExperimentFields
from search.settings.first import BASE, Around
from search.settings.goals import PARAMETERS
from search.settings.problem import TRANSLATION, Problem, find_problem
from search.settings.searchable import fit_space, is_among
from search.settings.searching import SearchConfig
from search.space.space import Params, SearchSpace
from trainables.base.config import TrainingConfig, TrialConfig, set_paths
from trainables.base.errors import either
from trainables.base.installed import find_config
from trainables.base.kinds import find_kinds, merge
from trainables.base.mistakes import validate
from trainables.base.yaml_files import read_yaml

PROBES = 1000  # an infinite space counts as empty when so many draws have failed


class Experiment(ExperimentFields):
    """A search. The fields of a trial are the base, which the space varies.

    `experiment_class` makes a class for each problem, with the fields of its trials. Data that are validated as an
    Experiment become an object of that class.
    """

    definition: ClassVar[Problem]

    @classmethod
    def load(cls, config: str | os.PathLike[str] = "quickstart", /, **changes: Any) -> Self:
        """The experiment of a YAML file, or of a configuration that comes with the program.

        Args:
            config: A file, or a name such as "multi30k".
            **changes: Values by dotted keys, as in `**{"search.trials": 8}`.

        Raises:
            UserError: With a line for each mistake.
        """
        file, options = find_config(os.fspath(config)), set_paths({}, changes)
        tree = read_yaml(file)
        chosen = experiment_class(problem_of(options, tree))
        loaded: Self = validate(chosen, merge(tree, options, find_kinds(chosen)), str(file), options)  # type: ignore[assignment]
        return loaded

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_problem(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls is Experiment and isinstance(value, dict):
            made: Self = experiment_class(problem_of(value)).model_validate(value)  # type: ignore[assignment]
            return made
        return handler(cls._comparing_as_finals(value))

    @classmethod
    def _comparing_as_finals(cls, value: Any) -> Any:
        """With `search.metric` as finals rank, unless the search says what it compares."""
        if cls is Experiment or not isinstance(value, dict):
            return value
        search, finals = value.get("search", {}), value.get("finals")
        ranked_by = finals.get("rank_by") if isinstance(finals, dict) else None
        metric = cls.definition.rung_metrics.get(ranked_by) if isinstance(ranked_by, str) else None
        if metric is None or not isinstance(search, dict) or search.keys() & {"metric", "goal", "goals"}:
            return value
        return {**value, "search": {**search, "metric": metric}}

    if TYPE_CHECKING:  # the fields that the trials of every problem have
        training: TrainingConfig
        seed: int

        def with_values(self, values: dict[str, Any]) -> Self:
            """A copy in which each dotted path has the given value, validated again."""
            ...

    @field_validator("space")
    @classmethod
    def _names_fields(cls, space: SearchSpace, info: ValidationInfo) -> SearchSpace:
        config = cls.definition.config
        try:  # the fields of the trial come before the space
            return fit_space(space, config(**{name: info.data[name] for name in config.model_fields}))
        except (KeyError, ValidationError):  # an error of a trial's field, which is reported
            return space if config.free else fit_space(space, config.base())

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        search, epochs = self.search, self.training.epochs
        search.allow(self.definition.further_metrics(self.as_given))
        if self.teardown and self.cluster is None:
            raise ValueError("teardown: there is no cluster to end; name it with cluster: auto, or drop teardown")
        if self.training.unit != "epoch" and not self.definition.reports_within_epochs:
            raise ValueError(f"{self.training.report_key}: {self.definition.title} reports by whole epochs; drop it")
        if isinstance(search.gpus_per_trial, float) and search.gpus_per_trial > 1 and not self.definition.several_gpus:
            raise ValueError(f"search.gpus_per_trial: {self.definition.title} trains a trial on one GPU; use at most 1")
        search.sampler.check(self.space)
        if not search.sampler.believes:
            for path, domain in self.space.domains.items():
                if domain.belief is not None:
                    raise ValueError(
                        f"space.{path}.belief: sampler {search.sampler.kind} makes no use of it; use sampler default, "
                        "or drop it"
                    )
        if search.trials is None and not search.sampler.ends and not search.budget.limits:
            raise ValueError(
                f"search.trials: null never ends with {search.sampler.kind}; give a number, or a search.budget of "
                "epochs, gpu_hours, dollars or wall_hours"
            )
        finals = self.num_finals * epochs
        if search.budget.epochs is not None and search.budget.epochs < finals + epochs:
            raise ValueError(
                f"search.budget.epochs: {search.budget.epochs} is too few: the finals need {finals} and one trial "
                f"{epochs}; give {finals + epochs} or more, or lower finals.top, finals.seeds or training.epochs"
            )
        if self.finals.last_checkpoints > epochs and self.training.unit == "epoch":
            raise ValueError(
                f"finals.average_checkpoints: {self.finals.last_checkpoints} is more than training.epochs {epochs}; "
                f"give {epochs} or less"
            )
        if getattr(self.training, "patience", None) is not None or "training.patience" in self.space.domains:
            self._patience_fits()
        if changing := [path for path in self.space.domains if is_among(path, search.compared_by.changed_by)]:
            others = [name for name, metric in search.metrics.items() if not is_among(changing[0], metric.changed_by)]
            raise ValueError(
                f"search.metric: {search.metric} can't be compared between values of {changing[0]}, which the space "
                f"changes; use {' or '.join(others) or 'another space'}"
            )
        if PARAMETERS in search.most and self.trial.num_parameters is None:
            raise ValueError(f"search.max_parameters: {self.definition.title} does not say how large its models are")
        if search.exportable is not None and self.definition.refusal is None:
            raise ValueError(f"search.exportable: {self.definition.title} has no models that can be exported; drop it")
        search.scheduler.check(self.scheduler_task)
        self._check_conditions()
        if not self._has_a_valid_trial():
            raise ValueError(
                "space: no combination of its values makes a valid trial"
                + (" that meets search.where" if search.where else "")
                + (f" of at most {search.most[PARAMETERS]:,.0f} parameters" if PARAMETERS in search.most else "")
                + (f" that can be exported for {search.exportable}" if search.exportable else "")
                + "; see the constraints of its fields"
            )
        self._check_first()
        return self

    def _check_conditions(self) -> None:
        """Raises ValueError for a condition that is not understood, that can't be computed, or that no trial meets."""
        try:
            probes = [dict(probe) for probe in self.probes()] if self.search.where else []
            for condition in self._conditions:
                check_types(condition, self.trial, probes)
        except ValueError as error:
            raise ValueError(f"search.where: {error}") from None

    def _check_first(self) -> None:
        """Raises ValueError for first trials that the space can't have."""
        if self.search.first == (BASE,):
            return
        self.first_trials()
        if self.search.sampler.ends:
            raise ValueError(f"search.first: {self.search.sampler.kind} has an order of its own; drop this")

    @property
    def _conditions(self) -> tuple[Condition, ...]:
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

    def _has_a_valid_trial(self) -> bool:
        accept = self.acceptance()
        return any(accept(params) is not None for params in self.probes())

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
        base, search, refusal, conditions = self.trial, self.search, self.definition.refusal, self._conditions
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

    def _patience_fits(self) -> None:
        """Raises ValueError for what can't be had with patience."""
        if self.finals.last_checkpoints > 1:
            raise ValueError(
                "finals.average_checkpoints: with training.patience a training ends with its best model, and the "
                "checkpoints before are of others; give 1, or use training.ema_decay"
            )
        if self.search.scheduler.breeds:
            raise ValueError(
                f"training.patience: {self.search.scheduler.kind} goes on from trials that have ended; drop it"
            )

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


def problem_of(*trees: Mapping[str, Any]) -> str:
    """The name of the problem, from the first of these parts of a configuration that names one."""
    return str(next((tree["problem"] for tree in trees if tree.get("problem") is not None), TRANSLATION))


@cache
def experiment_class(problem: str) -> type[Experiment]:
    """The class of experiments for the problem of this name. Raises UserError if it can't be found."""
    definition = find_problem(problem)
    names = [*definition.metrics, *definition.further_metrics(definition.config.base())]
    metric: Any = (str, Field(names[0], description=f"the metric that compares trials: {either(names)}"))
    make: Any = create_model  # Any, as the bases are known only at run time
    search = make("SearchConfig", __base__=SearchConfig, __doc__=SearchConfig.__doc__, metric=metric)
    search.of_problem, search.costs = definition.metrics, definition.all_costs
    fields: dict[str, Any] = {
        "problem": (str, Field(problem, description=Experiment.model_fields["problem"].description)),
        "search": (search, Field(default_factory=search)),
        "finals": (definition.finals_config, Field(default_factory=definition.finals_config)),
    }
    bases: Any = (Experiment, definition.config)
    made = make("Experiment", __base__=bases, __doc__="A search, all of it.", **fields)
    made.definition = definition
    found: type[Experiment] = made
    return found
