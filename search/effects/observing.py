"""From the study and the finals to scores that can be compared."""

from typing import Any

import numpy as np

from search.effects.analysis import Observations
from search.experiment import Experiment
from search.study import StudyTrial
from search.wording import count

ENOUGH = 4  # trials that have come so far, before a stage is looked at


def observe(
    experiment: Experiment, trials: list[StudyTrial], finals: list[dict[str, Any]], ranking: list[dict[str, Any]]
) -> Observations | None:
    """The scores at each rung where a trial was stopped, and at the end; None if no trial has any.

    Trials that diverged or failed have no score to compare, and are left out. finals: the lines of finals.jsonl,
    from which the noise of seeds is known.
    """
    metric, unit = experiment.search.metric, experiment.training.unit
    ended = [trial for trial in trials if trial.outcome == "completed"]
    stopped = [trial for trial in trials if trial.outcome == "stopped" and trial.scores]
    rungs = sorted({trial.epoch for trial in stopped})
    while rungs and sum(rungs[-1] in trial.scores for trial in ended + stopped) < ENOUGH:
        rungs.pop()
    has_end = len(ended) >= ENOUGH or not rungs
    known = sorted((t for t in ended + stopped if not rungs or rungs[0] in t.scores), key=lambda t: t.number)
    if not known:
        return None
    scores = [[*(t.scores.get(rung, np.nan) for rung in rungs), *([_final(t)] if has_end else [])] for t in known]
    seeds = []
    for entry in ranking:
        runs = ([line for line in finals if line["trial"] == number] for number in entry["final_trials"])
        at = [line[metric] for run in runs for line in run if line[unit] == (run[-1][unit] if has_end else rungs[-1])]
        seeds.append(at)
    basis = f"The scores of {len(known)} trials"
    if not has_end:
        basis += f" up to {unit} {rungs[-1]}, the last that enough of them have reached."
    elif len(known) == len(ended):
        basis = f"The final scores of {count(len(known), 'trial', 'trials')}."
    else:
        basis += f", of which {len(ended)} have a final one; a stopped one counts by what it showed up to its rung."
    if left := len(trials) - len(known):
        basis += f" {count(left, 'trial is', 'trials are')} left out, without a score to compare."
    return Observations(
        [trial.number for trial in known],
        [trial.params for trial in known],
        np.array(scores, dtype=float),
        [scores for scores in seeds if len(scores) > 1],
        basis,
    )


def _final(trial: StudyTrial) -> float:
    return trial.scores[trial.epoch] if trial.outcome == "completed" else np.nan
