"""The interface of samplers, and draws of a space that several of them use."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from search.goals.costs import Cost
from search.record.study import Study
from search.record.trial import StudyTrial
from search.space.space import LARGEST_GRID, Params, SearchSpace

VAIN_DRAWS = 2000  # after so many draws without a new trial, a finite space is listed as a whole


@dataclass(frozen=True)
class Task:
    """What a sampler needs to know of a search.

    Attributes:
        space: The domains of the hyperparameters.
        accept: Takes a draw of the space; returns it without unused hyperparameters, or None if it is no valid trial.
        seed: The seed of its random numbers.
        costs: What else counts; then the search is for a front of scores and costs.
        seconds: The seconds of a whole training, if the budget is in time or money; then gains are per second.
    """

    space: SearchSpace
    accept: Callable[[Params], Params | None]
    seed: int
    costs: tuple[Cost, ...] = ()
    seconds: Cost | None = None


@dataclass(frozen=True)
class Proposal:
    """The next configuration.

    Attributes:
        params: The value of each hyperparameter that is used.
        memory: Notes that the sampler finds with the trial later, as plain JSON values.
    """

    params: Params
    memory: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Sampler(Protocol):
    """Proposes configurations from a seed and the study alone, so a resumed search proposes what it would have.

    No configuration is proposed twice.
    """

    def propose(self, study: Study) -> Proposal | None:
        """The next configuration; None if there is no new one."""
        ...


@runtime_checkable
class Foresight(Protocol):
    """A sampler with a model of final scores, which a scheduler may ask which trials are worth more training."""

    def chance_of_best(self, study: Study, trials: Sequence[StudyTrial]) -> list[float] | None:
        """The probability of each trial to end with the best score so far, from the study alone; None if unknown."""
        ...


def distinct(task: Task, draws: Iterable[Params], rng: np.random.Generator) -> Iterator[Params]:
    """The draws that are valid trials, each once. If they give nothing new, the rest of a finite space, shuffled."""
    seen: set[str] = set()
    vain = 0
    for draw in draws:
        params = task.accept(draw)
        if params is not None and (key := task.space.key(params)) not in seen:
            seen.add(key)
            vain = 0
            yield params
        elif (vain := vain + 1) == VAIN_DRAWS:
            break
    if task.space.size() <= LARGEST_GRID:
        left = [params for params in list_all(task) if task.space.key(params) not in seen]
        yield from (left[row] for row in rng.permutation(len(left)))


def list_all(task: Task) -> list[Params]:
    """Every valid trial of a finite space once, in the order of its grid."""
    accepted = (task.accept(params) for params in task.space.grid())
    return list({task.space.key(params): params for params in accepted if params is not None}.values())


def uniform_draws(task: Task, rng: np.random.Generator) -> Iterator[Params]:
    """Endless independent draws, whether they are valid trials or not."""
    while True:
        yield {path: domain.at(rng.random()) for path, domain in task.space.domains.items()}
