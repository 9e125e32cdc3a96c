"""What an experiment can't be, although each of its fields is right: a table of checks."""

import math
from collections.abc import Callable

from search.settings.conditions import check_types
from search.settings.derived import DerivedExperiment
from search.settings.first import BASE
from search.settings.goals import PARAMETERS
from search.settings.searchable import is_among


def check(experiment: DerivedExperiment) -> None:
    """Raises ValueError, with the key at fault, for an experiment that can't be run."""
    for each in CHECKS:
        each(experiment)


def _metrics(experiment: DerivedExperiment) -> None:
    experiment.search.allow(experiment.definition.further_metrics(experiment.as_given))


def _teardown(experiment: DerivedExperiment) -> None:
    if experiment.teardown and experiment.cluster is None:
        raise ValueError("teardown: there is no cluster to end; name it with cluster: auto, or drop teardown")


def _unit_of_reports(experiment: DerivedExperiment) -> None:
    training, definition = experiment.training, experiment.definition
    if training.unit != "epoch" and not definition.reports_within_epochs:
        raise ValueError(f"{training.report_key}: {definition.title} reports by whole epochs; drop it")


def _gpus(experiment: DerivedExperiment) -> None:
    gpus, definition = experiment.search.gpus_per_trial, experiment.definition
    if isinstance(gpus, float) and gpus > 1 and not definition.several_gpus:
        raise ValueError(f"search.gpus_per_trial: {definition.title} trains a trial on one GPU; use at most 1")


def _sampler(experiment: DerivedExperiment) -> None:
    sampler = experiment.search.sampler
    sampler.check(experiment.space)
    believed = [path for path, domain in experiment.space.domains.items() if domain.belief is not None]
    if believed and not sampler.believes:
        raise ValueError(
            f"space.{believed[0]}.belief: sampler {sampler.kind} makes no use of it; use sampler default, or drop it"
        )


def _end(experiment: DerivedExperiment) -> None:
    search = experiment.search
    if search.trials is None and not search.sampler.ends and not search.budget.limits:
        raise ValueError(
            f"search.trials: null never ends with {search.sampler.kind}; give a number, or a search.budget of "
            "epochs, gpu_hours, dollars or wall_hours"
        )


def _budget(experiment: DerivedExperiment) -> None:
    limit, epochs = experiment.search.budget.epochs, experiment.training.epochs
    finals = experiment.num_finals * epochs
    if limit is not None and limit < finals + epochs:
        raise ValueError(
            f"search.budget.epochs: {limit} is too few: the finals need {finals} and one trial {epochs}; give "
            f"{finals + epochs} or more, or lower finals.top, finals.seeds or training.epochs"
        )


def _averaging(experiment: DerivedExperiment) -> None:
    averaged, training = experiment.finals.last_checkpoints, experiment.training
    if averaged > training.epochs and training.unit == "epoch":
        raise ValueError(
            f"finals.average_checkpoints: {averaged} is more than training.epochs {training.epochs}; give "
            f"{training.epochs} or less"
        )


def _patience(experiment: DerivedExperiment) -> None:
    if getattr(experiment.training, "patience", None) is None and "training.patience" not in experiment.space.domains:
        return
    if experiment.finals.last_checkpoints > 1:
        raise ValueError(
            "finals.average_checkpoints: with training.patience a training ends with its best model, and the "
            "checkpoints before are of others; give 1, or use training.ema_decay"
        )
    scheduler = experiment.search.scheduler
    if scheduler.breeds:
        raise ValueError(f"training.patience: {scheduler.kind} goes on from trials that have ended; drop it")


def _comparable(experiment: DerivedExperiment) -> None:
    search = experiment.search
    changing = [path for path in experiment.space.domains if is_among(path, search.compared_by.changed_by)]
    if changing:
        others = [name for name, metric in search.metrics.items() if not is_among(changing[0], metric.changed_by)]
        raise ValueError(
            f"search.metric: {search.metric} can't be compared between values of {changing[0]}, which the space "
            f"changes; use {' or '.join(others) or 'another space'}"
        )


def _models(experiment: DerivedExperiment) -> None:
    search, definition = experiment.search, experiment.definition
    if PARAMETERS in search.most and experiment.trial.num_parameters is None:
        raise ValueError(f"search.max_parameters: {definition.title} does not say how large its models are")
    if search.exportable is not None and definition.refusal is None:
        raise ValueError(f"search.exportable: {definition.title} has no models that can be exported; drop it")


def _scheduler(experiment: DerivedExperiment) -> None:
    experiment.search.scheduler.check(experiment.scheduler_task)


def _conditions(experiment: DerivedExperiment) -> None:
    """A condition that is not understood, that can't be computed, or that no trial meets."""
    try:
        probes = [dict(probe) for probe in experiment.probes()] if experiment.search.where else []
        for condition in experiment.conditions:
            check_types(condition, experiment.trial, probes)
    except ValueError as error:
        raise ValueError(f"search.where: {error}") from None


def _space(experiment: DerivedExperiment) -> None:
    search, accept = experiment.search, experiment.acceptance()
    if not any(accept(params) is not None for params in experiment.probes()):
        most = search.most.get(PARAMETERS, math.inf)
        raise ValueError(
            "space: no combination of its values makes a valid trial"
            + (" that meets search.where" if search.where else "")
            + (f" of at most {most:,.0f} parameters" if most < math.inf else "")
            + (f" that can be exported for {search.exportable}" if search.exportable else "")
            + "; see the constraints of its fields"
        )


def _first(experiment: DerivedExperiment) -> None:
    search = experiment.search
    if search.first == (BASE,):
        return
    experiment.first_trials()
    if search.sampler.ends:
        raise ValueError(f"search.first: {search.sampler.kind} has an order of its own; drop this")


# In this order: later ones take for granted what earlier ones have found right.
CHECKS: tuple[Callable[[DerivedExperiment], None], ...] = (
    _metrics,
    _teardown,
    _unit_of_reports,
    _gpus,
    _sampler,
    _end,
    _budget,
    _averaging,
    _patience,
    _comparable,
    _models,
    _scheduler,
    _conditions,
    _space,
    _first,
)
