"""What is searched, as a value: all that the engine knows of a problem."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.settings.finals import FinalsConfig
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.metrics import Metric
from trainables.base.user_code import NAME, import_named

TRANSLATION = "translation"
# Problems that have a name of their own, and where they are; any other is named as module:NAME.
PROBLEMS = {TRANSLATION: "search.translation.problem:TRANSLATION"}


@dataclass(frozen=True)
class Curves:
    """Figures of the reports that belong in one plot, over the epochs of the best model."""

    figures: tuple[str, ...]
    title: str  # of the axis
    note: str = ""  # a sentence on what is to be known of them


def alone(configs: Sequence[TrialConfig]) -> bool:
    """Whether trials of these configurations can be trained as one computation: a single one always can."""
    return len(configs) == 1


@dataclass(frozen=True)
class Problem:
    """A kind of model that can be searched for.

    Its three parts, `preparation`, `training` and `finals`, are objects, or name them as module:NAME where their
    modules take long to import.

    Attributes:
        title: What it is called, for people.
        config: All that decides one trial; the space varies its fields.
        metrics: What trials can be compared by, by the names that reports have for them. The first is the default.
        training: How trials are trained, in worker processes: see `trainables.worker.Training`.
        finals: What is done with the finalists: see `search.finals.protocol.Finals`.
        preparation: What is done in the driver before: see `search.settings.preparation.Preparation`.
        planning: What a search will take, see `search.planning.own_plan.OwnPlan`; None where that can't be said.
        finals_config: The class of `finals` in a configuration.
        curves: What the report plots of the best model.
        reports_by_steps: Whether it can report within an epoch, as `training.report_steps` asks.
        train_as_one: Whether trials can be trained as one computation.
        work_of_report: How much is computed from one report of a trial to the next; proportions matter alone.
    """

    title: str
    config: type[TrialConfig]
    metrics: Mapping[str, Metric]
    training: Any
    finals: Any
    preparation: Any = "search.settings.preparation:NOTHING"
    planning: Any = None
    finals_config: type[FinalsConfig] = FinalsConfig
    curves: Curves | None = None
    reports_by_steps: bool = False
    train_as_one: Callable[[Sequence[Any]], bool] = alone
    work_of_report: Callable[[Any], float] = field(default=lambda config: 1.0)

    def part(self, name: str) -> Any:
        """The preparation, training or finals. Raises UserError where it can't be imported."""
        found = getattr(self, name)
        return import_named(found, "problem") if isinstance(found, str) else found


def place_of(name: str) -> str:
    """Where the problem of that name is, as module:NAME. Raises UserError for what is no name of one."""
    place = PROBLEMS.get(name, name)
    if not re.fullmatch(NAME, place):
        raise UserError(f"problem: {name}: is neither {' nor '.join(PROBLEMS)} nor module:NAME, a problem of your own")
    return place


def find_problem(name: str) -> Problem:
    """The problem of that name: one of PROBLEMS, or module:NAME. Raises UserError."""
    found = import_named(place_of(name), "problem")
    if not isinstance(found, Problem):
        raise UserError(f"problem: {name} is no Problem; see docs/problems.md")
    return found
