"""What a study says about configurations: scores of finished runs, and what unfinished ones let expect."""

import math
from dataclasses import dataclass

import numpy as np

from search.forecasting import fit
from search.space import Params
from search.study import Study, StudyTrial

ENOUGH_RUNS = 4  # finished ones, before a forecast is made; values of an epoch, before they are compared


@dataclass(frozen=True)
class Evidence:
    """Configurations with standardised scores (n,), higher is better, and the variance (n,) that a score's being a
    forecast adds; and the configurations of which nothing is known yet."""

    configurations: list[Params]
    scores: np.ndarray
    noise: np.ndarray
    pending: list[Params]
    scale: float  # of the study's metric: a standardised difference of 1 is so much of it


def gather(study: Study) -> Evidence:
    """All that the study knows.

    Until enough runs have finished, runs are compared by their scores at the highest epoch that enough have reached.
    After that a finished run counts by its final score, every other by what its latest epoch lets expect, with that
    forecast's variance as noise. A diverged run counts as the worst; a failed one says nothing.
    """
    sign = 1.0 if study.maximize else -1.0
    trials = [trial for trial in study.trials.values() if trial.outcome != "failed"]
    finished = {t.number: sign * t.value for t in trials if t.value is not None and t.outcome == "completed"}
    scored: dict[int, tuple[float, float]]  # trial -> score, variance
    if len(finished) >= ENOUGH_RUNS:
        scored = {number: (value, 0.0) for number, value in finished.items()}
        scored |= _forecasts(study, trials, finished)
    else:
        epoch = _comparable_epoch(trials)
        if epoch:
            scored = {t.number: (sign * t.scores[epoch], 0.0) for t in trials if epoch in t.scores}
        else:
            scored = {number: (value, 0.0) for number, value in finished.items()}
    if scored:
        worst = min(score for score, _ in scored.values())
        scored |= {t.number: (worst, 0.0) for t in trials if t.outcome == "diverged"}
    numbers = list(scored)
    raw = np.array([scored[number][0] for number in numbers])
    scores, scale = _standardise(raw)
    return Evidence(
        [study.trials[number].params for number in numbers],
        scores,
        np.array([scored[number][1] for number in numbers]) / scale**2,
        [t.params for t in trials if t.running and t.number not in scored],
        scale,
    )


def _comparable_epoch(trials: list[StudyTrial]) -> int:
    reached = [epoch for trial in trials for epoch in trial.scores]
    return max((epoch for epoch in set(reached) if reached.count(epoch) >= ENOUGH_RUNS), default=0)


def _forecasts(study: Study, trials: list[StudyTrial], finished: dict[int, float]) -> dict[int, tuple[float, float]]:
    """Expected final scores of the runs that have not finished, with their variances."""
    sign = 1.0 if study.maximize else -1.0
    by_epoch: dict[int, list[StudyTrial]] = {}
    for trial in trials:
        if trial.number not in finished and trial.scores:
            by_epoch.setdefault(trial.epoch, []).append(trial)
    expected = {}
    for epoch, unfinished in by_epoch.items():
        known = [number for number in finished if epoch in study.trials[number].scores]
        if len(known) < ENOUGH_RUNS - 1:
            continue
        early = [sign * study.trials[number].scores[epoch] for number in known]
        forecast = fit(early, [finished[number] for number in known])
        for trial in unfinished:
            mean, deviation = forecast.predict(sign * trial.scores[epoch])
            expected[trial.number] = (mean, deviation**2)
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
