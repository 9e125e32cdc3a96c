"""Tells the user how trials were compared: if another metric decided, and how well rungs predicted final scores.

Another metric decides if all scores by the first one are equal or near zero.
"""

import math
from collections.abc import Sequence

from search.finals.stages import TestMetric
from search.record.forecasting import misleads, rank_correlation
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.base.metrics import Metric
from trainables.base.outcomes import Outcome

ENOUGH_ENDS = 4  # trials that were trained to the end, for a word about a rung


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


def explain_rungs(study: Study, experiment: Experiment) -> list[str]:
    """A sentence for each rung that compared another metric than finals rank by, or predicted final scores badly."""
    definition, compared_by = experiment.definition, experiment.search.metric
    ranked_by = definition.rung_metrics.get(getattr(experiment.finals, "rank_by", ""), compared_by)
    title = experiment.search.metrics[ranked_by].title
    sentences = []
    for rung in experiment.rungs:
        ends = _ends(study, rung, experiment, ranked_by)
        if len(ends) < ENOUGH_ENDS:
            continue
        at_rung, at_end = zip(*ends, strict=True)
        agreement = f"rank correlation {rank_correlation(at_rung, at_end):.2f} over {len(ends)} trials"
        where = f"{experiment.search.compared_by.title} at {experiment.training.unit} {rung}"
        if ranked_by != compared_by:
            sentences.append(
                f"finals rank by {title}, but trials were compared by {where}: {agreement} with the final {title}; "
                f"search.metric: {ranked_by} compares what finals do"
            )
        elif misleads(at_rung, at_end):
            sentences.append(
                f"{where} said next to nothing about final scores ({agreement}), so it stopped no trial more"
            )
    return sentences


def _ends(study: Study, rung: int, experiment: Experiment, ranked_by: str) -> list[tuple[float, float]]:
    """The score at the rung and the final one by which finals rank, of trials that were trained to the end."""
    metric, same = experiment.search.metrics[ranked_by], ranked_by == experiment.search.metric
    found = []
    for trial in study.reached[rung]:
        if trial.outcome == Outcome.COMPLETED:
            end = study.final(trial) if same else metric.worth(trial.figures.get(ranked_by, math.nan))
            found.append((study.merit(trial, rung), end))
    return [(at_rung, at_end) for at_rung, at_end in found if math.isfinite(at_rung) and math.isfinite(at_end)]


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
