"""What a study says about configurations: final scores of finished runs, and forecasts for unfinished ones."""

import math
from dataclasses import dataclass

import numpy as np

from search.record.forecasting import fit
from search.record.study import Study
from search.record.trial import StudyTrial
from search.space.space import Params
from trainables.base.outcomes import DIED, Outcome

ENOUGH_RUNS = 4  # finished runs that a forecast needs; scores at one progress that a comparison needs
OWN_SCATTER = 0.3  # the share of a forecast's variance that is the run's own; similar configurations share the rest
MOST_TRIALS, STEP = 1000, 64  # trials that are used at most; the latest ones change in steps
LEAST_LEAD = 0.05  # the lead of a run that has not finished is at least this


@dataclass(frozen=True)
class Evidence:
    """Configurations with standardised scores (n,), higher is better; a configuration may have several scores.

    The score of an unfinished run is a forecast, with a variance of its own (noise, (n,)). A forecast from an early
    score agrees less with final scores: lead (n,) is the share of training that was left, 0 for a final score.
    """

    configurations: list[Params]
    scores: np.ndarray
    noise: np.ndarray
    lead: np.ndarray
    pending: list[Params]  # running trials without a score here
    scale: float  # a standardised difference of 1 in units of the study's metric
    numbers: tuple[int, ...]  # the trials of the scores

    @property
    def key(self) -> tuple[object, ...]:
        """A key that is equal for equal scores of the same trials, whatever is pending."""
        return self.numbers, self.scores.tobytes(), self.noise.tobytes(), self.lead.tobytes()


@dataclass(frozen=True)
class Score:
    """A score of a trial, higher is better; see Evidence."""

    trial: int
    value: float
    variance: float = 0.0
    lead: float = 0.0


def informative_trials(study: Study) -> list[StudyTrial]:
    """The trials to learn from: all, or of more than MOST_TRIALS the best, the latest, and the active ones."""
    if len(study.trials) <= MOST_TRIALS:
        return list(study.trials.values())
    first = (len(study.trials) - MOST_TRIALS // 2) // STEP * STEP  # so proposals in a row have one evidence
    latest = range(first, len(study.trials))
    numbers = {*(trial.number for trial in study.best(MOST_TRIALS // 2)), *latest, *study.active}
    return [study.trials[number] for number in sorted(numbers)]


def gather(study: Study) -> Evidence:
    """The evidence in a study.

    Until enough runs have finished, runs are compared by their scores at the highest progress that enough of them have
    reached. Then a finished run counts by its final score, an unfinished one by a forecast from its latest score.
    Forecasts are also made for finished runs, from the same progress, so that a model can learn the forecasts' errors.
    A run that diverged, or that memory is too small for, counts as the worst one. A failed run says nothing.
    """
    used = informative_trials(study)
    died = [trial for trial in used if trial.outcome in (Outcome.DIVERGED, Outcome.INFEASIBLE)]
    trials = [trial for trial in used if trial.outcome not in DIED]
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
        tuple(score.trial for score in scores),
    )


def _comparable_progress(trials: list[StudyTrial]) -> int:
    reached = [progress for trial in trials for progress in trial.scores]
    return max((progress for progress in set(reached) if reached.count(progress) >= ENOUGH_RUNS), default=0)


def _forecasts(study: Study, trials: list[StudyTrial], finished: dict[int, float]) -> list[Score]:
    """Forecasts for the runs that have not finished, and for finished ones from their scores at the same progress.

    Scores at one progress are mapped to final ones by mean and standard deviation. A regression would also shrink them
    towards the mean; how much to trust them is left to the model that uses the evidence.
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
    """The scores with mean 0 and variance 1, and the standard deviation that they had.

    First, scores are raised to be no further below the median than the best one is above it. How bad the bad ones are
    says nothing about where the best is, and one diverged run must not distort the model.
    """
    if not len(scores):
        return scores, 1.0
    median = np.median(scores)
    raised = np.maximum(scores, 2 * median - scores.max())
    scale = float(raised.std())
    scale = scale if math.isfinite(scale) and scale > 1e-9 else 1.0
    return (raised - raised.mean()) / scale, scale
