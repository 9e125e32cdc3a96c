"""Population-based training: weights are inherited, and training parameters change during the search."""

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
RESAMPLED = 0.25  # the share of parameters that are drawn from their domains


@dataclass(frozen=True)
class Population:
    """Population-based training (Jaderberg et al. 2017) in generations, for parameters that don't change the weights.

    All members wait at each rung until the last one has reached it. Then the worst quarter ends. An heir replaces each
    of them. Its parent is a random member of the best quarter. It is a new trial with the parent's scores, a copy of
    the parent's checkpoint, and perturbed parameters: times 0.8 or 1.2, or the next value of a list; a quarter of them
    are drawn from their domains. As only whole generations are compared, the result does not depend on the number of
    workers.

    Of equal members the one with the lower number is better. A member that diverged or failed is the worst and is
    replaced, so that the population keeps its size.
    """

    rungs: tuple[int, ...]
    size: int
    space: SearchSpace
    seed: int = 0

    @property
    def trials(self) -> int:
        """The number of trials, with all heirs, if none diverges."""
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
            return None  # the parent must not continue before its checkpoint is copied
        for rung in self.rungs:
            ranked = self._generation(study, rung)
            for trial in ranked[: len(ranked) - self._quarter]:
                if trial.progress == rung and trial.parked(self.rungs) and trial.number not in live:
                    return trial
        return None

    def heir(self, study: Study) -> Heir | None:
        """The heir that replaces the next member of the last complete generation, if one is still to be replaced."""
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
        """The members that reached the rung or ended on the way, the best first; none until all of them have."""
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
    """Another value of the domain: near the old one, but at least the next one, or, with probability 1/4, any value.

    A value without an order, such as a word, changes only in the second case.
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
    """Trains a population of search.trials members and changes their training parameters."""

    breeds: ClassVar[bool] = True

    kind: Literal["pbt"] = "pbt"
    rungs: tuple[int, ...] | None = rungs_field("every fifth of training.epochs")

    def default_rungs(self, epochs: int) -> range:
        fifth = max(1, epochs // 5)
        return range(fifth, epochs, fifth)

    def check(self, task: Task) -> None:
        super().check(task)
        if fixed := [path for path in task.space.domains if not _leaves_weights(path)]:
            raise ValueError(
                f"{KEY}: pbt hands trained weights on, so its space may contain only training.* and dropouts, "
                f"not {', '.join(fixed)}"
            )
        if task.trials is None:
            raise ValueError("search.trials: null; pbt needs the size of its population")
        if task.training.unit != "epoch":
            raise ValueError(f"{KEY}: pbt counts in epochs; drop {task.training.report_key}")

    def make(self, task: Task) -> Population:
        size = int(min(task.trials or math.inf, task.space.size()))
        return Population(self.all_rungs(task.training.epochs), size, task.space, task.seed)


def _leaves_weights(path: str) -> bool:
    """Whether the field may change while a model is trained."""
    return path.startswith("training.") or (path.startswith("model.") and path.endswith("dropout"))
