"""A problem as a value: everything that the engine knows of what is searched."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.settings.finals import FinalsConfig
from search.settings.goals import PARAMETERS, ModelCost
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.metrics import Metric
from trainables.base.user_code import NAME, import_named

TRANSLATION, COMMAND = "translation", "command"
# Problems that have a name of their own, and where they are; any other is named as module:NAME.
PROBLEMS = {
    TRANSLATION: "search.translation.problem:TRANSLATION",
    "pretrained": "search.pretrained.problem:PRETRAINED",
    COMMAND: "search.command.problem:COMMAND",
}


SIZE = ModelCost("parameters", lambda experiment: lambda config: float(config.num_parameters or 0))


@dataclass(frozen=True)
class Curves:
    """Figures that the report draws in one plot, over the epochs of the best model."""

    figures: tuple[str, ...]
    title: str  # of the axis
    note: str = ""  # a sentence that explains them


def alone(configs: Sequence[TrialConfig]) -> bool:
    """The default of `train_as_one`: only a single trial is one computation."""
    return len(configs) == 1


@dataclass(frozen=True)
class Problem:
    """A kind of model, and how to search for the best one.

    The parts `preparation`, `training`, `finals` and `planning` are objects, or name one as module:NAME if its module
    is slow to import.

    Attributes:
        title: Its name in messages and in the report.
        config: The configuration class of a trial; the space varies its fields.
        metrics: The metrics that can compare trials, by their names in reports. The first is the default.
        rung_metrics: By the metric that finals rank by (`finals.rank_by`): its name in reports, where it costs next to
            nothing. It is the default of `search.metric`, so that trials are compared by what finals compare.
        further_metrics: Those that reports have as well if the configuration of a trial asks for them.
        costs: What models cost when they are used, by names for `search.goals` and `search.limits`, besides their size.
        training: How trials are trained, in worker processes: see `trainables.worker.Training`.
        finals: How finalists are tested and kept: see `search.finals.protocol.Finals`.
        preparation: How the driver prepares the data: see `search.settings.preparation.Preparation`.
        planning: What a plan needs to know of the models: see `search.planning.models.Models`. None if what a search
            will take can't be estimated.
        finals_config: The class of `finals` in a configuration.
        curves: What the report plots of the best model.
        reports_within_epochs: Whether trials can report by steps or tokens (`training.report_steps`, `report_tokens`).
        several_gpus: Whether a trial can be trained on several GPUs (`search.gpus_per_trial` above 1).
        train_as_one: Whether trials can be trained as one computation.
        work_of_report: The computation from one report of a trial to the next, in any unit; only ratios matter.
        refusal: Why a program can't hold the model of a trial, from the program's name (`search.exportable`) and the
            trial; None if it can. None if models can't be exported.
    """

    title: str
    config: type[TrialConfig]
    metrics: Mapping[str, Metric]
    training: Any
    finals: Any
    further_metrics: Callable[[Any], Mapping[str, Metric]] = field(default=lambda config: {})
    rung_metrics: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, ModelCost] = field(default_factory=dict)
    preparation: Any = "search.settings.preparation:NOTHING"
    planning: Any = None
    finals_config: type[FinalsConfig] = FinalsConfig
    curves: Curves | None = None
    reports_within_epochs: bool = False
    several_gpus: bool = False
    train_as_one: Callable[[Sequence[Any]], bool] = alone
    work_of_report: Callable[[Any], float] = field(default=lambda config: 1.0)
    refusal: Callable[[str, Any], str | None] | None = None

    @property
    def all_costs(self) -> Mapping[str, ModelCost]:
        """The costs, with the number of parameters if configurations say it."""
        says_size = self.config.num_parameters is not TrialConfig.num_parameters
        return {**({PARAMETERS: SIZE} if says_size else {}), **self.costs}

    def part(self, name: str) -> Any:
        """The part of this name, imported if needed. Raises UserError if it can't be imported."""
        found = getattr(self, name)
        return import_named(found, "problem") if isinstance(found, str) else found


def place_of(name: str) -> str:
    """The place of the problem of this name, as module:NAME. Raises UserError for any other name."""
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
