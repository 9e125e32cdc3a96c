"""The costs that a search weighs against its score, as functions of a trial's hyperparameters or of its reports."""

import math
from collections.abc import Callable
from functools import lru_cache

from pydantic import ValidationError
from rich.console import Console

from search.goals.costs import Cost
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.goals import TRAIN_SECONDS
from search.space.space import Params
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome
from trainables.base.user_code import import_named

KEPT = 50_000  # values of a cost that are kept in memory


def cost_function(experiment: Experiment, name: str) -> Callable[[TrialConfig], float]:
    """A cost that is known without training, as a function of a trial's configuration. Raises UserError."""
    of = experiment.search.costs[name].of
    made: Callable[[TrialConfig], float] = (import_named(of, "problem") if isinstance(of, str) else of)(experiment)
    return made


def costs_of(experiment: Experiment) -> tuple[Cost, ...]:
    """The goals of the search besides its metric, as costs. Raises UserError."""
    return tuple(_cost(experiment, name) for name in experiment.search.besides)


def seconds_of(experiment: Experiment) -> Cost | None:
    """The seconds of a whole training, if `search.budget` is in time or money."""
    in_time = experiment.search.budget.limits.keys() - {"epochs"}
    return _cost(experiment, TRAIN_SECONDS) if in_time else None


def measure_costs(experiment: Experiment, console: Console) -> None:
    """Measure what costs are computed from, unless the run has it, and check that a model is within the limits.

    Raises UserError.
    """
    search = experiment.search
    for name in dict.fromkeys((*search.besides, *search.most)):
        if name in search.costs and (measure := search.costs[name].measure) is not None:
            (import_named(measure, "problem") if isinstance(measure, str) else measure)(experiment, console)
    _check_limits(experiment)


def _check_limits(experiment: Experiment) -> None:
    accept, valid = within_limits(experiment), []
    for params in experiment.probes():
        if accept(params) is not None:
            return
        valid += [params] if experiment.accept(params) is not None else []
    for name, most in experiment.search.most.items():
        least = min(map(_known(experiment, name), valid))
        if least > most:
            raise UserError(
                f"search.limits.{name}: {most:g} is too little: of {len(valid)} models of the space, the least is "
                f"{least:.3g}"
            )
    raise UserError("search.limits: no model of the space is within all of them; raise one")


def within_limits(experiment: Experiment) -> Callable[[Params], Params | None]:
    """`Experiment.accept`, and None also for a model that costs more than a limit allows. Raises UserError.

    A limit on what is measured holds once it was measured: a plan does not know it.
    """
    costs = experiment.search.costs
    limits = {
        name: most
        for name, most in experiment.search.most.items()
        if name in costs and costs[name].is_known(experiment)
    }
    known = [(_known(experiment, name), most) for name, most in limits.items()]
    valid = experiment.acceptance()

    def accept(params: Params) -> Params | None:
        accepted = valid(params)
        if accepted is not None and all(cost(accepted) <= most for cost, most in known):
            return accepted
        return None

    return accept if known else valid


def _cost(experiment: Experiment, name: str) -> Cost:
    search, epochs = experiment.search, experiment.training.epochs
    if name in search.costs:
        return Cost(name, known=_known(experiment, name))
    if name == TRAIN_SECONDS:

        def whole_training(trial: StudyTrial) -> float | None:
            return trial.device_seconds * epochs / trial.trained if trial.trained and trial.device_seconds else None

        return Cost(name, seen=whole_training)
    metric = search.metrics[name]

    def final(trial: StudyTrial) -> float | None:
        ended = trial.outcome == Outcome.COMPLETED and name in trial.figures
        return -metric.worth(trial.figures[name]) if ended else None

    return Cost(name, seen=final, ratios=False)


def _known(experiment: Experiment, name: str) -> Callable[[Params], float]:
    """The cost by hyperparameters; infinite if they make no valid trial."""
    trial, of = experiment.trial, cost_function(experiment, name)

    @lru_cache(KEPT)
    def of_items(items: tuple[tuple[str, object], ...]) -> float:
        try:
            return of(trial.with_values(dict(items)))
        except ValidationError:
            return math.inf

    return lambda params: of_items(tuple(params.items()))
