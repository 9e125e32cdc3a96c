"""What every sampler is asked, and what it answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from search.record.study import Study
from search.space.space import LARGEST_GRID, Params, SearchSpace

VAIN_DRAWS = 2000  # draws that give nothing new, before a space is looked through for what is left


@dataclass(frozen=True)
class Task:
    """What a sampler has to know of a search.

    Attributes:
        space: What it proposes from.
        accept: Gives a draw of the space without the values that its others leave unused; None if it makes no trial.
        seed: Of its random numbers.
    """

    space: SearchSpace
    accept: Callable[[Params], Params | None]
    seed: int


@dataclass(frozen=True)
class Proposal:
    """The next configuration.

    Attributes:
        params: A value for each hyperparameter that it uses.
        memory: What the sampler wants to find with the trial later: plain JSON values.
    """

    params: Params
    memory: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Sampler(Protocol):
    """Proposes as a function of (seed, what the study holds) alone, so that a resumed search goes on as it would have.

    No configuration is proposed twice; None where nothing is left.
    """

    def propose(self, study: Study) -> Proposal | None:
        """The next configuration; None where nothing is left."""
        ...


def distinct(task: Task, draws: Iterable[Params], rng: np.random.Generator) -> Iterator[Params]:
    """The draws that make trials, each once. When they bring nothing new, what is left of a finite space at random."""
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
    """Every trial of a finite space once, in the order of its grid."""
    accepted = (task.accept(params) for params in task.space.grid())
    return list({task.space.key(params): params for params in accepted if params is not None}.values())


def uniform_draws(task: Task, rng: np.random.Generator) -> Iterator[Params]:
    """Independent draws without end, trials or not."""
    while True:
        yield {path: domain.at(rng.random()) for path, domain in task.space.domains.items()}
