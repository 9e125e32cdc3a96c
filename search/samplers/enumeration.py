"""Samplers that ignore results: a grid, random draws, a low-discrepancy sequence."""

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import numpy as np

from search.record.study import Study
from search.samplers.base import Proposal, Task, distinct, list_all, uniform_draws
from search.samplers.kind import KEY, SamplerSettings
from search.samplers.prior import Prior
from search.space.space import LARGEST_GRID, Params, SearchSpace


class Enumeration:
    """Proposes the trials of a fixed sequence, one after the other."""

    def __init__(self, task: Task, sequence: Iterable[Params]):
        """sequence: distinct, valid configurations."""
        self._task, self._sequence = task, iter(sequence)
        self._next: Params | None = next(self._sequence, None)

    def propose(self, study: Study) -> Proposal | None:
        known = study.known
        while self._next is not None and self._task.space.key(self._next) in known:
            self._next = next(self._sequence, None)
        return None if self._next is None else Proposal(self._next)


def _sobol(task: Task) -> Iterator[Params]:
    if not task.space.domains:
        return
    from scipy.stats import qmc  # takes a second to import

    engine = qmc.Sobol(len(task.space.domains), rng=np.random.default_rng(task.seed))
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # SciPy warns as 1 point is no power of two
            point = engine.random(1)[0].tolist()
        yield {path: domain.at(u) for (path, domain), u in zip(task.space.domains.items(), point, strict=True)}


class GridSettings(SamplerSettings):
    """Every valid combination; the last hyperparameter varies fastest."""

    learns: ClassVar[bool] = False
    ends: ClassVar[bool] = True

    kind: Literal["grid"] = "grid"

    def check(self, space: SearchSpace) -> None:
        endless = [path for path, domain in space.domains.items() if domain.count() == math.inf]
        if endless:
            raise ValueError(
                f"{KEY}: grid needs values, or whole-number ranges, and space.{endless[0]} is a range without steps: "
                "give it values, or a step q"
            )
        if space.size() > LARGEST_GRID:
            raise ValueError(
                f"{KEY}: grid takes at most {LARGEST_GRID:,} combinations; the space has {space.size():g}: "
                "give it fewer values, or use another sampler"
            )

    def make(self, task: Task, prior: Prior | None = None) -> Enumeration:
        return Enumeration(task, list_all(task))


class RandomSettings(SamplerSettings):
    """Independent draws, uniform or as the domain's distribution says."""

    learns: ClassVar[bool] = False

    kind: Literal["random"] = "random"

    def make(self, task: Task, prior: Prior | None = None) -> Enumeration:
        rng = np.random.default_rng(task.seed)
        return Enumeration(task, distinct(task, uniform_draws(task, rng), rng))


class QuasiRandomSettings(SamplerSettings):
    """A scrambled Sobol sequence (Sobol 1967, Owen 1998); every part of it covers the space evenly."""

    learns: ClassVar[bool] = False

    kind: Literal["qmc"] = "qmc"

    def make(self, task: Task, prior: Prior | None = None) -> Enumeration:
        return Enumeration(task, distinct(task, _sobol(task), np.random.default_rng(task.seed)))
