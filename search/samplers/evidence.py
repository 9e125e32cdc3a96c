"""What a study says about configurations: scores of finished runs, and what unfinished ones let expect."""

import math
from dataclasses import dataclass

import numpy as np

from search.record.forecasting import fit
from search.record.study import Study
from search.record.trial import StudyTrial
from search.space.space import Params
from trainables.base.outcomes import DIED, Outcome

ENOUGH_RUNS = 4  # finished ones, before a forecast is made; values at one progress, before they are compared
OWN_SCATTER = 0.3  # share of a forecast's variance that is the run's own; the rest is common to similar configurations
HEARD = 1000  # trials at most that say what is known
LEAST_LEAD = 0.05  # of a run that has not finished


@dataclass(frozen=True)
class Evidence:
    """Configurations with standardised scores (n,), higher is better; one configuration may have several.

    A score of an unfinished run is a forecast, which adds to its variance (noise, (n,)). The earlier it was made, the
    less it need agree with final scores: lead (n,) is the share of training that was left then, 0 for a final score.
    """

    configurations: list[Params]
    scores: np.ndarray
    noise: np.ndarray
    lead: np.ndarray
    pending: list[Params]  # nothing is known of them yet
    scale: float  # of the study's metric: a standardised difference of 1 is so much of it


@dataclass(frozen=True)
class Score:
    """What a run is worth, higher is better; see Evidence."""

    trial: int
    value: float
    variance: float = 0.0
    lead: float = 0.0


def heard(study: Study) -> list[StudyTrial]:
    """The trials that say what is known: all, or of more than HEARD the best half and the latest half."""
    if len(study.trials) <= HEARD:
        return list(study.trials.values())
    latest = range(len(study.trials) - HEARD // 2, len(study.trials))
    numbers = {*(trial.number for trial in study.best(HEARD // 2)), *latest, *study.active}
    return [study.trials[number] for number in sorted(numbers)]


def gather(study: Study) -> Evidence:
    """What the study knows.

    Until enough runs have finished, runs are compared by their scores at the highest progress that enough have come to.
    After that a finished run counts by its final score, every other by what its latest score lets expect. So do the
    finished ones once more, at the progress at which others stand: a model of it all can learn from them where such
    forecasts err. A run that diverged, or that memory is too small for, counts as the worst; a failed one says nothing.
    """
    asked = heard(study)
    died = [trial for trial in asked if trial.outcome in (Outcome.DIVERGED, Outcome.INFEASIBLE)]
    trials = [trial for trial in asked if trial.outcome not in DIED]
    finished = {t.number: study.final(t) for t in trials if t.value is not None and t.outcome == Outcome.COMPLETED}
    scores = [Score(number, value) for number, value in finished.items()]
    if len(finished) >= ENOUGH_RUNS:
        scores += _forecasts(study, trials, finished)
    elif progress := _comparable_progress(trials):
        scores = [Score(t.number, study.merit(t, progress)) for t in trials if progress in t.scores]
    if scores:
        worst = min(score.value for score in scores)
        scores += [Score(trial.number, worst) for trial in died]
    scored = {score.trial for score in scores}
    values, scale = _standardise(np.array([score.value for score in scores]))
    return Evidence(
        [study.trials[score.trial].params for score in scores],
        values,
        np.array([score.variance for score in scores]) / scale**2,
        np.array([score.lead for score in scores]),
        [t.params for t in trials if t.running and t.number not in scored],
        scale,
    )


def _comparable_progress(trials: list[StudyTrial]) -> int:
    reached = [progress for trial in trials for progress in trial.scores]
    return max((progress for progress in set(reached) if reached.count(progress) >= ENOUGH_RUNS), default=0)


def _forecasts(study: Study, trials: list[StudyTrial], finished: dict[int, float]) -> list[Score]:
    """What is expected of the runs that have not finished, and would have been of those that have.

    The scores at one progress are laid on the final ones by mean and spread, not shrunk towards the mean as a
    regression would: how far to believe them is for the model of it all to say.
    """
    length = max(study.trials[number].progress for number in finished)
    by_progress: dict[int, list[StudyTrial]] = {}
    for trial in trials:
        if trial.number not in finished and trial.scores:
            by_progress.setdefault(trial.progress, []).append(trial)
    expected = []
    for progress, unfinished in by_progress.items():
        known = [study.trials[number] for number in finished if progress in study.trials[number].scores]
        if len(known) < ENOUGH_RUNS - 1:
            continue
        early, final = (
            np.array([study.merit(t, progress) for t in known]),
            np.array([finished[t.number] for t in known]),
        )
        forecast = fit(early.tolist(), final.tolist())
        slope = final.std() / (early.std() or 1.0)
        for trial in [*unfinished, *known]:
            score = study.merit(trial, progress)
            variance = 0.0 if trial.number in finished else OWN_SCATTER * forecast.predict(score)[1] ** 2
            value = float(final.mean() + slope * (score - early.mean()))
            expected.append(Score(trial.number, value, variance, max(1 - progress / length, LEAST_LEAD)))
    return expected


def _standardise(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean 0 and variance 1; and what a difference of 1 was.

    Scores count as no further below the median than the best lies above it: how bad the bad ones are says nothing
    about where the best is, and one diverged run must not bend the model.
    """
    if not len(scores):
        return scores, 1.0
    median = np.median(scores)
    raised = np.maximum(scores, 2 * median - scores.max())
    scale = float(raised.std())
    scale = scale if math.isfinite(scale) and scale > 1e-9 else 1.0
    return (raised - raised.mean()) / scale, scale
