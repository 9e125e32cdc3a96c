"""Population-based training: weights are inherited, the parameters of training change on the way."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.base import Decision, Heir, finite
from search.schedulers.kind import KEY, AtRungs, Task, rungs_field
from search.space.domain import Domain, Scalar
from search.space.space import Params, SearchSpace
from trainables.base.outcomes import DIED

FACTORS = (0.8, 1.2)
RESAMPLED = 0.25  # of the parameters, drawn again


@dataclass(frozen=True)
class Population:
    """Population-based training (Jaderberg et al. 2017) in generations, for parameters that leave weights as they are.

    All members wait at each rung until the last has come. Then the worst quarter ends, and for each of them an heir
    is made from one of the best quarter, drawn at random: a new trial with the parent's scores so far, a copy of its
    checkpoint, and its parameters perturbed (times 0.8 or 1.2, or the next value of a list; a quarter of them drawn
    again). As nobody is compared with half a generation, the outcome does not depend on the number of workers.

    The first to arrive waits; of equals the lower number is ahead. One that died on the way counts as worst and is
    replaced, so that the population keeps its size.
    """

    rungs: tuple[int, ...]
    size: int
    space: SearchSpace
    seed: int = 0

    @property
    def trials(self) -> int:
        """How many there will be, heirs included, if none diverges."""
        return self.size + len(self.rungs) * self._quarter

    @property
    def _quarter(self) -> int:
        return max(1, self.size // 4) if self.size > 1 else 0

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        return "park" if trial.progress in self.rungs else "go"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        if self.heir(study) is not None:
            return None  # what it inherits must not go on before
        for rung in self.rungs:
            ranked = self._generation(study, rung)
            for trial in ranked[: len(ranked) - self._quarter]:
                if trial.progress == rung and trial.parked(self.rungs) and trial.number not in live:
                    return trial
        return None

    def heir(self, study: Study) -> Heir | None:
        """Who replaces a member of the last whole generation, if there is one still to replace."""
        replaced = {trial.attributes.replaces for trial in study.trials.values()}
        for rung in self.rungs:
            ranked = self._generation(study, rung)
            alive = [trial for trial in ranked if rung in trial.scores]
            losers = [t for t in ranked if t not in alive] + ranked[len(ranked) - self._quarter :]
            for loser in losers:
                if alive and loser.number not in replaced and not loser.passed(rung):
                    rng = np.random.default_rng([self.seed, len(study.trials)])
                    best = alive[: self._quarter]
                    parent = best[rng.integers(len(best))]
                    return Heir(self._perturbed(parent.params, rng), parent, loser)
        return None

    def _generation(self, study: Study, rung: int) -> list[StudyTrial]:
        """The members that have come to the rung or died on the way, the best first; none until they are complete."""
        members = [trial for trial in study.trials.values() if self._belongs(trial, rung)]
        if len(members) < self.size:
            return []
        return sorted(members, key=lambda trial: (-study.merit(trial, rung), trial.number))

    def _belongs(self, trial: StudyTrial, rung: int) -> bool:
        if trial.inherited >= rung:
            return False
        died = trial.outcome in DIED
        return rung in trial.scores or (
            died and rung == min((r for r in self.rungs if r > trial.progress), default=None)
        )

    def _perturbed(self, params: Params, rng: np.random.Generator) -> Params:
        return {path: perturb(value, self.space.domains[path], rng) for path, value in params.items()}


def perturb(value: Scalar, domain: Domain, rng: np.random.Generator) -> Scalar:
    """Another value of the domain: near the old one, the next at least, or, one time in four, any.

    Words, which have no order, change only when drawn again.
    """
    if rng.random() < RESAMPLED:
        return domain.at(rng.random())
    if not domain.is_ordered:
        return value
    factor = rng.choice(FACTORS)
    if domain.values is None and isinstance(value, int | float):
        near = domain.near(domain.unit(value * factor))
        if near != value:
            return near
    step = 1 / max(1, domain.count() - 1)
    return domain.near(domain.unit(value) + (step if factor > 1 else -step))


class PopulationSettings(AtRungs):
    """Trains a population of search.trials members and changes their training parameters on the way."""

    breeds: ClassVar[bool] = True

    kind: Literal["pbt"] = "pbt"
    rungs: tuple[int, ...] | None = rungs_field("every fifth part of training.epochs")

    def default_rungs(self, epochs: int) -> range:
        fifth = max(1, epochs // 5)
        return range(fifth, epochs, fifth)

    def check(self, task: Task) -> None:
        super().check(task)
        if fixed := [path for path in task.space.domains if not _leaves_weights(path)]:
            raise ValueError(
                f"{KEY}: pbt hands trained weights on, so its space may hold training.* and dropouts alone, "
                f"not {', '.join(fixed)}"
            )
        if task.trials is None:
            raise ValueError("search.trials: null; pbt needs the size of its population")
        if task.report_steps is not None:
            raise ValueError(f"{KEY}: pbt counts in epochs; drop training.report_steps")

    def make(self, task: Task) -> Population:
        size = int(min(task.trials or math.inf, task.space.size()))
        return Population(self.all_rungs(task.epochs), size, task.space, task.seed)


def _leaves_weights(path: str) -> bool:
    """Whether a field may change while a model is trained."""
    return path.startswith("training.") or (path.startswith("model.") and path.endswith("dropout"))
