"""Which trials of a simulated search may end as the best: a cheap replacement for the sampler's model."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from search.record.forecasting import fit
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.base import Chance
from search.settings.experiment import Experiment
from trainables.base.outcomes import Outcome

ENOUGH_FINISHED = 4  # as in the sampler


def simulated_chance(experiment: Experiment) -> Chance | None:
    """What replaces the model of the search's sampler; None if that has none."""
    return chance_by_forecast if experiment.search.sampler.foresees else None


def chance_by_forecast(study: Study, trials: Sequence[StudyTrial]) -> list[float] | None:
    """The probability of each trial to end as the best, by a regression of final scores on those at its rung."""
    finished = [trial for trial in study.over if trial.outcome == Outcome.COMPLETED]
    if len(finished) < ENOUGH_FINISHED:
        return None
    best = max(map(study.final, finished))
    return [_chance(study, finished, trial, best) for trial in trials]


def _chance(study: Study, finished: Sequence[StudyTrial], trial: StudyTrial, best: float) -> float:
    rung = trial.progress
    ends = [(study.merit(other, rung), study.final(other)) for other in finished]
    ends = [(at_rung, at_end) for at_rung, at_end in ends if min(at_rung, at_end) > -math.inf]
    if len(ends) < ENOUGH_FINISHED:
        return 0.0
    mean, deviation = fit([at_rung for at_rung, _ in ends], [at_end for _, at_end in ends]).predict(
        study.merit(trial, rung)
    )
    return 1 - NormalDist(mean, deviation).cdf(best)
