"""Tells the user if another metric decided, because all scores by the first one were equal or near zero."""

from collections.abc import Sequence

from search.finals.stages import TestMetric
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.base.metrics import Metric
from trainables.base.outcomes import Outcome


def decided_by(name: str, metric: Metric, scores: Sequence[float]) -> str:
    """The name of the metric that decided between these scores: `name`, or the one that decides instead."""
    return name if metric.tells_apart(scores) or metric.instead is None else metric.instead


def explain_decisions(study: Study, experiment: Experiment) -> list[str]:
    """A sentence for each rung at which another metric decided, and one for the choice of finalists."""
    metric, unit = experiment.search.compared_by, experiment.training.unit
    if metric.instead is None:
        return []
    sentences, by = [], f"by {_titled(metric, experiment)}"
    for rung in experiment.rungs:
        scores = [trial.scores[rung] for trial in study.reached[rung]]
        if not metric.tells_apart(scores):
            sentences.append(f"{_why(metric, scores)} at {unit} {rung}: those that continued were chosen {by}")
    ended = [_last(trial) for trial in study.trials.values() if trial.outcome == Outcome.COMPLETED]
    if not metric.tells_apart(ended):
        sentences.append(f"{_why(metric, ended)} at the end of the search: the finalists were chosen {by}")
    return sentences


def explain_ranking(scores: Sequence[float], by: TestMetric, experiment: Experiment) -> list[str]:
    """A sentence if another metric decided instead of the test score, or if the only system's score is near zero."""
    metric = by.metric
    if len(scores) == 1 and metric.instead is not None and scores[0] < metric.least:
        return [f"{metric.title} is below {metric.least:g}: the only finalist has learnt next to nothing"]
    if metric.tells_apart(scores):
        return []
    return [
        f"{_why(metric, scores)} on the test data: the ranking is by {_titled(metric, experiment)}, not by {by.short}"
    ]


def _titled(metric: Metric, experiment: Experiment) -> str:
    """The title of the metric that decides instead."""
    return experiment.search.metrics[str(metric.instead)].title


def _why(metric: Metric, scores: Sequence[float]) -> str:
    alike = f"below {metric.least:g}" if max(scores) < metric.least else "equal"
    return f"{metric.title} can't compare {len(scores)} systems that are all {alike}"


def _last(trial: StudyTrial) -> float:
    return trial.scores[trial.progress]
