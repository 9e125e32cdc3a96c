"""Collects comparable scores from the study and the finals."""

from dataclasses import dataclass

import numpy as np

from search.finals.board import LeaderboardEntry
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import count
from search.space.space import Params
from trainables.base.outcomes import Outcome

ENOUGH = 4  # a stage is used if so many trials have reached it


@dataclass(frozen=True)
class Score:
    """A trial's score at the last stage, measured or forecast.

    progress: at the last stage. origin: None if the score was measured; otherwise the progress of the score that the
    forecast is based on. margin: half of a forecast's 95% interval; 0 if the score was measured. is_wide: whether the
    interval is wider than the scale of the scores.
    """

    value: float
    progress: int
    origin: int | None
    margin: float
    is_wide: bool

    def as_text(self, unit: str) -> str:
        """The score as text: "31.25 at epoch 4", or "31.25 ± 1.2, forecast for epoch 4, from epoch 2"."""
        if self.origin is None:
            return f"{self.value:.2f} at {unit} {self.progress}"
        forecast = f"forecast for {unit} {self.progress}, from {unit} {self.origin}"
        if self.is_wide:
            return f"{self.value:.2f}, {forecast}: these trials cannot tell it"
        return f"{self.value:.2f} ± {self.margin:.3g}, {forecast}"


@dataclass(frozen=True)
class Observations:
    """Scores of trials in the metric's unit.

    scores: (trials, stages), at the rungs and at the end, NaN after a trial was stopped; no trial lacks the first.
    progress: (trials, stages), at which these were measured, or would have been.
    seeds: the scores at the last stage of each configuration that was trained with several seeds.
    basis: a sentence that describes these scores.
    stage: the last stage, as text: "at epoch 4".
    """

    trials: list[int]
    configurations: list[Params]
    scores: np.ndarray
    progress: np.ndarray
    seeds: list[list[float]]
    basis: str
    stage: str

    @property
    def scale(self) -> float:
        """The widest range of measured scores at any stage; at the last stage only good trials are left."""
        columns = (column[~np.isnan(column)] for column in self.scores.T)
        return max(float(np.ptp(column)) for column in columns if len(column))

    def last_stage(self, values: np.ndarray, margins: np.ndarray) -> dict[int, Score]:
        """The scores at the last stage, by trial. values, margins: (trials,), NaN for unknown ones."""
        found = {}
        for row, number in enumerate(self.trials):
            if not np.isnan(values[row]):
                measured = self.progress[row][~np.isnan(self.scores[row])].tolist()
                origin = measured[-1] if np.isnan(self.scores[row, -1]) else None
                margin, progress = float(margins[row]), int(self.progress[row, -1])
                found[number] = Score(float(values[row]), progress, origin, margin, 2 * margin > self.scale > 0)
        return found


def observe(
    experiment: Experiment, trials: list[StudyTrial], finals: list[JournalLine], ranking: list[LeaderboardEntry]
) -> Observations | None:
    """The scores at each rung where a trial was stopped, and at the end; None if no trial has a score.

    Trials that diverged or failed have no comparable score and are left out. finals: the lines of finals.jsonl, for the
    noise of seeds.
    """
    metric, unit = experiment.search.metric, experiment.training.unit
    ended = [trial for trial in trials if trial.outcome == Outcome.COMPLETED]
    stopped = [trial for trial in trials if trial.outcome == Outcome.STOPPED and trial.scores]
    rungs = sorted({trial.progress for trial in stopped})
    while rungs and sum(rungs[-1] in trial.scores for trial in ended + stopped) < ENOUGH:
        rungs.pop()
    has_end = len(ended) >= ENOUGH or not rungs
    known = sorted((t for t in ended + stopped if not rungs or rungs[0] in t.scores), key=lambda t: t.number)
    if not known:
        return None
    scores = [[*(t.scores.get(rung, np.nan) for rung in rungs), *([_final(t)] if has_end else [])] for t in known]
    progress = [[*rungs, *([_end(experiment, t)] if has_end else [])] for t in known]
    ends = {row[-1] for row in progress}
    seeds = []
    for entry in ranking:
        runs = ([line.report for line in finals if line.trial == number] for number in entry.final_trials)
        last = ((run, run[-1].progress(unit) if has_end else rungs[-1]) for run in runs)
        at = [report.score(metric) for run, end in last for report in run if report.progress(unit) == end]
        seeds.append(at)
    basis = f"The scores of {count(len(known), 'trial', 'trials')}"
    if not has_end:
        basis += f" up to {unit} {rungs[-1]}, the last that enough of them have reached."
    elif len(known) == len(ended):
        basis = f"The final scores of {count(len(known), 'trial', 'trials')}."
    else:
        basis += f", {len(ended)} of them final; a stopped trial counts by its scores up to its rung."
    if left := len(trials) - len(known):
        basis += f" {count(left, 'trial is', 'trials are')} left out, without a score to compare."
    return Observations(
        [trial.number for trial in known],
        [trial.params for trial in known],
        np.array(scores, dtype=float),
        np.array(progress),
        [scores for scores in seeds if len(scores) > 1],
        basis,
        f"at {unit} {ends.pop()}" if len(ends) == 1 else "at the end of training",
    )


def _final(trial: StudyTrial) -> float:
    return trial.scores[trial.progress] if trial.outcome == Outcome.COMPLETED else np.nan


def _end(experiment: Experiment, trial: StudyTrial) -> int:
    """The progress of a whole trial; with another tokenizer, an epoch has other numbers of steps and tokens."""
    if trial.outcome == Outcome.COMPLETED:
        return trial.progress
    return experiment.training.last_progress(trial.per_epoch or 1)
