"""From the study and the finals to scores that can be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from search.effects.analysis import Observations
from search.experiment import Experiment
from search.samplers.evidence import comparable_scores
from search.study import StudyTrial
from search.wording import count


@dataclass(frozen=True)
class Observed:
    """What an analysis rests on, and a sentence that says so."""

    observations: Observations
    numbers: list[int]  # of the trials, in the order of the observations
    basis: str

    @property
    def scores(self) -> dict[int, float]:
        """Trial -> its score."""
        return dict(zip(self.numbers, self.observations.scores.tolist(), strict=True))


def observe(
    experiment: Experiment, trials: list[StudyTrial], finals: list[dict[str, Any]], ranking: list[dict[str, Any]]
) -> Observed:
    """Trials that diverged or failed have no score to compare, and are left out.

    finals: the lines of finals.jsonl, from which the noise of seeds is known.
    """
    maximize = experiment.search.direction == "maximize"
    sign = 1.0 if maximize else -1.0
    found = comparable_scores(trials, maximize)
    known = [t for t in trials if t.number in found.scores and t.outcome in ("completed", "stopped")]
    unit, metric = experiment.training.unit, experiment.search.metric
    seeds = []
    for entry in ranking:
        runs = [
            [line for line in finals if line["trial"] == n and found.epoch in (None, line[unit])]
            for n in entry["final_trials"]
        ]
        seeds.append([float(run[-1][metric]) for run in runs if run])
    observations = Observations(
        [t.params for t in known],
        np.array([sign * found.scores[t.number][0] for t in known]),
        np.array([found.scores[t.number][1] for t in known]),
        [scores for scores in seeds if len(scores) > 1],
    )
    return Observed(observations, [t.number for t in known], _basis(trials, known, found.epoch, unit))


def _basis(trials: list[StudyTrial], known: list[StudyTrial], epoch: int | None, unit: str) -> str:
    ended = sum(t.outcome == "completed" for t in known)
    if epoch is not None:
        basis = f"The scores of {len(known)} trials at {unit} {epoch}, the last that enough of them have reached."
    elif ended == len(known):
        basis = f"The final scores of {count(ended, 'trial', 'trials')}."
    else:
        stopped = count(len(known) - ended, "stopped one counts", "stopped ones count")
        basis = f"{ended} trials by their final scores; {stopped} by the final score that the last rung lets expect, "
        basis += "and weigh less the vaguer that is."
    left = len(trials) - len(known)
    return basis + (f" {count(left, 'trial is', 'trials are')} left out, without a score to compare." if left else "")
