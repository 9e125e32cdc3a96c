"""One search as one frozen value: what to train, the space around it, how to search, finals, tracking."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from search.settings.checks import check
from search.settings.derived import DerivedExperiment
from search.settings.problem import TRANSLATION, find_problem
from search.settings.searchable import fit_space
from search.settings.searching import SearchConfig
from search.space.space import SearchSpace
from trainables.base.config import set_paths
from trainables.base.errors import either
from trainables.base.installed import find_config
from trainables.base.kinds import find_kinds, merge
from trainables.base.mistakes import validate
from trainables.base.yaml_files import read_yaml


class Experiment(DerivedExperiment):
    """A search. The fields of a trial are the base, which the space varies.

    `experiment_class` makes a class for each problem, with the fields of its trials. Data that are validated as an
    Experiment become an object of that class.
    """

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
        check(self)
        return self


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
