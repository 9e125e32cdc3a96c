"""Models of scores and of costs over configurations."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from search.goals.costs import Cost
from search.record.study import Study
from search.samplers.coding import Coding
from search.samplers.evidence import Evidence
from search.samplers.gaussian_process import GaussianProcess
from search.samplers.prior import Prior
from search.space.space import Params
from trainables.base.outcomes import Outcome

ENOUGH = 2  # values of a cost that a model of it needs


class ScoreModel:
    """A Gaussian process of standardised scores, or of their difference from a prior."""

    def __init__(self, evidence: Evidence, coding: Coding, prior: Prior | None):
        self._coding = coding
        places = coding.places(evidence.configurations)
        measured = evidence.lead == 0
        self._prior = _no_prior if prior is None else prior.mean(places[measured], evidence.scores[measured])
        scores = evidence.scores - self._prior(places)
        owners = np.append(coding.owners, coding.owners.max(initial=-1) + 1)  # the lead is one more hyperparameter
        self._process = GaussianProcess(self._columns(places, evidence.lead), scores, evidence.noise, owners)
        self.heights = self.predict(places)[0]  # the predicted final scores of the configurations, (n,)

    @property
    def noise(self) -> float:
        """The standard deviation of a score around the true one."""
        return self._process.noise

    def predict(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean and standard deviation of final scores at places (n, hyperparameters): (n,), (n,)."""
        mean, deviation = self._process.predict(self._columns(places))
        return mean + self._prior(places), deviation

    def believing(self, places: np.ndarray) -> "ScoreModel":
        """The model with running trials; see `GaussianProcess.believing`."""
        model = copy(self)
        model._process = self._process.believing(self._columns(places))
        return model

    def chances(self, places: np.ndarray, best: float) -> np.ndarray:
        """The probability that the measured final score at each place is above `best`: (n, hyperparameters) -> (n,)."""
        mean, deviation = self.predict(places)
        chance: np.ndarray = ndtr((mean - best) / np.hypot(deviation, self.noise))
        return chance

    def _columns(self, places: np.ndarray, lead: np.ndarray | float = 0.0) -> np.ndarray:
        """(points, hyperparameters) places -> (points, columns + 1)."""
        return np.column_stack((self._coding.columns(places), np.broadcast_to(lead, len(places))))


def _no_prior(places: np.ndarray) -> np.ndarray:
    return np.zeros(len(places))


@dataclass(frozen=True)
class Axis:
    """The places of some configurations on the axis of a cost, (n,), and their standard deviations, 0 if known."""

    places: np.ndarray
    deviations: np.ndarray


class CostModel:
    """The costs of configurations: known ones as they are, others by a Gaussian process on the trials that ended."""

    def __init__(self, costs: Sequence[Cost], study: Study, coding: Coding):
        self._costs, self._coding = costs, coding
        self._learnt = {cost.name: self._learn(cost, study) for cost in costs if cost.known is None}

    def _columns(self, configurations: list[Params]) -> np.ndarray:
        return self._coding.columns(self._coding.places(configurations))

    def _learn(self, cost: Cost, study: Study) -> "Learnt":
        ended = [trial for trial in study.over if trial.outcome == Outcome.COMPLETED]
        values = [(trial.params, value) for trial in ended if (value := cost.seen(trial)) is not None]
        places = np.array([cost.place(value) for _, value in values])
        if len(values) < ENOUGH or not places.std() > 0:
            return Learnt(None, float(places.mean()) if values else 0.0, 1.0)
        mean, scale = float(places.mean()), float(places.std())
        points = self._columns([params for params, _ in values])
        process = GaussianProcess(points, (places - mean) / scale, np.zeros(len(places)), self._coding.owners)
        return Learnt(process, mean, scale)

    def axes(self, configurations: list[Params]) -> list[Axis]:
        """The places of configurations on the axis of each cost."""
        found = []
        for cost in self._costs:
            if cost.known is not None:
                places = np.array([cost.place(cost.known(params)) for params in configurations])
                found.append(Axis(places, np.zeros(len(places))))
            else:
                found.append(self._learnt[cost.name].axis(self._columns(configurations)))
        return found


@dataclass(frozen=True)
class Learnt:
    """A model of a cost: a process on standardised places; a normal distribution if there is none."""

    process: GaussianProcess | None
    mean: float
    scale: float

    def axis(self, points: np.ndarray) -> Axis:
        """The places of points (n, columns)."""
        if self.process is None:
            return Axis(np.full(len(points), self.mean), np.full(len(points), self.scale))
        mean, deviation = self.process.predict(points)
        return Axis(self.mean + self.scale * mean, self.scale * deviation)
