"""Trials to choose from in a space that is too large to list: draws, and moves around the best."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from search.record.study import Study
from search.samplers.base import Proposal, Task, distinct, uniform_draws
from search.samplers.belief import Beliefs
from search.samplers.coding import Coding
from search.samplers.evidence import Evidence, informative_trials
from search.space.space import Params

CANDIDATES = 2000  # random draws from a larger space
ROUNDS, SHORTLIST = 3, 40  # rounds of moves around the best candidates; valid trials to find in each round
TOO_NEAR = 0.02  # trials that differ by less in every hyperparameter, as a share of its domain, count as equal
PARENTS, CHILDREN = 8, 30  # the best candidates, which are moved, and the moves of each

Value = Callable[[np.ndarray], np.ndarray]  # the value of candidates: (n, hyperparameters) -> (n,)


class Candidates:
    """New, valid trials that differ from all that were tried."""

    def __init__(self, task: Task, coding: Coding, beliefs: Beliefs):
        self._task, self._coding, self._beliefs = task, coding, beliefs
        self._places: tuple[Study | None, np.ndarray] = (None, np.empty(0))  # a study, and the places of its trials

    def search(
        self, value: Value, evidence: Evidence, study: Study, known: set[str], rng: np.random.Generator
    ) -> list[Params]:
        """New trials of high value: draws, then moves around the best of them.

        Points are checked for validity in the order of their value, as the checks are what takes time.
        """
        order = np.argsort(-evidence.scores, kind="stable")
        incumbents = [evidence.configurations[row] for row in order[:PARENTS]]
        points = self._coding.draw(rng.random((CANDIDATES, len(self._task.space.domains))))
        if self._beliefs:
            points[::4] = self._beliefs.draw(points[::4], rng)
        tried = self._places_of(study)[[trial.number for trial in informative_trials(study)]]
        tried = np.concatenate((tried, self._coding.places(study.ahead)))
        found: dict[str, Params] = {}
        parents = self._coding.places(incumbents)
        for _ in range(ROUNDS):
            points = np.concatenate((points, self._moved(parents, rng)))
            by_value = points[np.argsort(-value(points), kind="stable")]
            found |= {self._task.space.key(p): p for p in islice(self._trials(by_value, tried, known), SHORTLIST)}
            points = self._coding.places(list(found.values()))
            if len(points):
                parents = points[np.argsort(-value(points), kind="stable")[:PARENTS]]
        return list(found.values()) or list(islice(self._random(known, rng), 1))

    def apart(self, study: Study, rng: np.random.Generator) -> Proposal | None:
        """For a study without scores: of some random trials, the one that is farthest from all others."""
        draws = list(islice(self._random(study.known, rng), SHORTLIST))
        if not draws:
            return None
        tried = self._coding.columns(self._coding.places([trial.params for trial in study.trials.values()]))
        squared = ((self._coding.columns(self._coding.places(draws))[:, None] - tried) ** 2).sum(-1)
        return Proposal(draws[int(squared.min(axis=1, initial=np.inf).argmax())])

    def _random(self, known: set[str], rng: np.random.Generator) -> Iterator[Params]:
        draws = distinct(self._task, uniform_draws(self._task, rng), rng)
        return (params for params in draws if self._task.space.key(params) not in known)

    def _trials(self, points: np.ndarray, tried: np.ndarray, known: set[str]) -> Iterator[Params]:
        """The points that are valid trials, are not known, and differ from all that were tried."""
        for point in points:
            params = self._task.accept(self._coding.params(point))
            if params is not None and self._task.space.key(params) not in known:
                away = np.abs(np.nan_to_num(tried - self._coding.places([params])))
                if (away.max(axis=1) > TOO_NEAR).all():
                    yield params

    def _moved(self, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Points that differ from a parent in a few hyperparameters, by a small move or a new draw."""
        points = np.repeat(parents, CHILDREN, axis=0)
        count, dimensions = points.shape
        fresh = self._coding.draw(rng.random(points.shape))
        near = np.clip(points + rng.normal(0, 0.1, points.shape), 0, 1)
        moved = np.where(rng.random((count, 1)) < 0.5, fresh, near)
        changed = rng.random(points.shape) < rng.choice([1, 2, 4], size=(count, 1)) / dimensions
        return np.where(np.isnan(points), fresh, np.where(changed, moved, points))

    def _places_of(self, study: Study) -> np.ndarray:
        """The places of all trials, by their numbers: (trials, hyperparameters)."""
        known, places = self._places
        if known is not study:
            places = self._coding.places([])
        new = [study.trials[number].params for number in range(len(places), len(study.trials))]
        if new:
            places = np.concatenate((places, self._coding.places(new)))
        self._places = study, places
        return places
