"""Chooses the finalists, which are unlike each other, and retrains them with new seeds."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.finals.deciding import decided_by
from search.goals.costs import Cost
from search.goals.front import spread_along
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Proposal
from search.settings.costs import costs_of
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.outcomes import Outcome
from trainables.base.sealing import read_sealed, write_sealed


@dataclass(frozen=True)
class Finalist:
    """A trial of the search that goes to the finals."""

    trial: int
    params: Params
    epochs: float  # trained in the search
    score: float  # the search's metric at its last epoch


@dataclass(frozen=True)
class Choice:
    """The finalists, the best first, and the trials that were passed over as too similar to a better one."""

    finalists: list[Finalist]
    passed_over: dict[int, int]  # trial -> the finalist that it is similar to
    decided_by: str  # the search's metric, or the one that decided instead


def choose_finalists(study: Study, experiment: Experiment) -> Choice:
    """The best trials: those trained to the end, then by the last rung that they reached, and each by score.

    With several goals, those that are spread along the front. A trial within `finals.min_distance` of a better finalist
    is passed over while others are left.
    """
    settings = experiment.finals
    complete_only = settings.seeds == 0  # without retraining, stopped models are not scored
    candidates = [
        trial
        for trial in study.trials.values()
        if trial.outcome == Outcome.COMPLETED or (trial.outcome == Outcome.STOPPED and not complete_only)
    ]
    candidates.sort(key=study.standing)
    if costs := costs_of(experiment):
        candidates = _along_the_front(study, candidates, costs, settings.top)
    chosen: list[StudyTrial] = []
    like: dict[int, int] = {}
    for trial in candidates:
        if len(chosen) == settings.top:
            break
        near = (c for c in chosen if experiment.space.distance(c.params, trial.params) < settings.min_distance)
        if (better := next(near, None)) is None:
            chosen.append(trial)
        else:
            like[trial.number] = better.number
    for trial in [trial for trial in candidates if trial.number in like][: settings.top - len(chosen)]:
        chosen.append(trial)
        del like[trial.number]
    chosen.sort(key=study.standing)
    search = experiment.search
    by = decided_by(search.metric, search.compared_by, [trial.scores[trial.progress] for trial in candidates])
    return Choice([Finalist(t.number, t.params, t.epochs, t.scores[t.progress]) for t in chosen], like, by)


def _along_the_front(study: Study, candidates: list[StudyTrial], costs: Sequence[Cost], count: int) -> list[StudyTrial]:
    """First trials that are spread along the front of those trained to the end, then the others in their order."""
    ended = [trial for trial in candidates if trial.outcome == Outcome.COMPLETED and math.isfinite(study.final(trial))]
    values = [[cost.of(trial) for cost in costs] for trial in ended]
    known = [row for row, of_trial in enumerate(values) if None not in of_trial]
    heights = np.array([study.final(ended[row]) for row in known])
    places = np.array([[c.place(v) for c, v in zip(costs, values[row], strict=True) if v is not None] for row in known])
    if not known:
        return candidates
    first = [ended[known[row]] for row in spread_along(heights, places, count)]
    return [*first, *(trial for trial in candidates if trial not in first)]


def freeze_finalists(file: Path, choice: Choice, experiment: Experiment, test_opened_before: list[str]) -> None:
    """Write the finalists, once; only then may the test split be opened.

    test_opened_before: when finalists were frozen before, if the search was extended.
    """
    record = {
        "frozen_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "test_opened_before": test_opened_before,
        "metric": experiment.search.metric,
        "decided_by": choice.decided_by,
        "seeds": final_seeds(experiment),
        "finalists": [
            {"trial": f.trial, "config": f.params, "epochs": f.epochs, experiment.search.metric: f.score}
            for f in choice.finalists
        ],
        "passed_over": [{"trial": trial, "like": finalist} for trial, finalist in choice.passed_over.items()],
    }
    write_sealed(file, record)


def read_finalists(file: Path) -> list[Finalist]:
    """The finalists that `freeze_finalists` wrote. Raises UserError if the file has another content."""
    try:
        record = read_sealed(file)
        return [
            Finalist(entry["trial"], entry["config"], entry["epochs"], entry[record["metric"]])
            for entry in record["finalists"]
        ]
    except (KeyError, TypeError):
        raise UserError(f"{file}: holds no finalists as a search writes them; restore it") from None


def final_seeds(experiment: Experiment) -> list[int]:
    """The seeds of the finals. They are new, so that no finalist profits from a lucky seed in the search."""
    if experiment.finals.seeds == 0:
        return [experiment.seed]
    return [experiment.seed + 1 + i for i in range(experiment.finals.seeds)]


class FinalsPlan:
    """Proposes each finalist with each seed, as trials of a separate study. A race adds points."""

    def __init__(self, experiment: Experiment, finalists: list[Finalist]):
        self.base, self.metric = experiment.trial, experiment.search.metric
        first, most = len(final_seeds(experiment)), experiment.finals.most_seeds or 0
        self.seeds = [experiment.seed + 1 + i for i in range(most)] if most else final_seeds(experiment)
        self.params = {f.trial: f.params for f in finalists}
        self.points: list[Params] = [self.point(f.trial, place) for f in finalists for place in range(first)]
        self.distributions: dict[str, BaseDistribution] = {
            "finalist": CategoricalDistribution(tuple(self.params)),
            "seed": CategoricalDistribution(tuple(self.seeds)),
        }

    @property
    def possible(self) -> list[Params]:
        """All points that the plan may have."""
        return [self.point(trial, place) for trial in self.params for place in range(len(self.seeds))]

    def point(self, trial: int, place: int) -> Params:
        """A finalist with its seed of this number, from 0."""
        return {"finalist": trial, "seed": self.seeds[place]}

    def next_point(self, trial: int) -> Params:
        """A finalist with its next seed."""
        return next(point for point in self.possible if point["finalist"] == trial and point not in self.points)

    def propose(self, study: Study) -> Proposal | None:
        """The next retraining; None after the last."""
        number = len(study.trials)
        return Proposal(self.points[number]) if number < len(self.points) else None

    def config(self, params: Params) -> TrialConfig:
        """The configuration of a finalist with a seed."""
        trial = params["finalist"]
        assert isinstance(trial, int)
        return self.base.with_values({**self.params[trial], "seed": params["seed"]})
