"""Other people's optimisers, each a sampler that `replay` takes by name: --policy '{"kind": "optimisers:Hebo"}'.

They play by the clock, on the systems and with the measures of replay, like our own. A hyperparameter is a list to
them: a list of numbers as ranks, any other as categories. Each has its own first points, and hears each result before
it is asked again, with the points that run. bench/optimisers.txt has the versions; `make search-quality` installs them.
"""

import itertools
import logging
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from search.record.study import Study
from search.samplers import Proposal, Task
from search.samplers.base import list_all
from search.samplers.coding import Coding
from search.space.space import Params
from trainables.base.errors import UserError

Point = tuple[int, ...]  # the place of each hyperparameter's value in its list: by size if these are numbers

BUDGET = 40  # trials, for an optimiser that plans with their number: as many as the last measure of replay
SOBOL = 5  # first points of BoTorch, which leaves their number to its user


@dataclass(frozen=True)
class Column:
    """A hyperparameter, whose values are called 0 to size - 1."""

    name: str
    size: int
    ordered: bool


class Systems:
    """The systems of a table as points; a hyperparameter with one value is no part of them."""

    def __init__(self, task: Task):
        domains = task.space.domains
        for path, domain in domains.items():
            if domain.choices() is None:
                raise UserError(f"{path} is a range without steps; the optimisers are compared on lists of values")
        sizes = np.array([int(domain.count()) for domain in domains.values()])
        self._varied = np.flatnonzero(sizes > 1)
        ordered = [domain.is_ordered for domain in domains.values()]
        self.columns = [Column(f"x{place}", int(sizes[place]), ordered[place]) for place in self._varied]
        self._coding = Coding(task.space)
        self._params: dict[Point, Params] = {}
        for params in list_all(task):
            if len(params) < len(domains):
                raise UserError("some systems leave hyperparameters unused; the optimisers need them all in each")
            self._params[self.point(params)] = params

    def __iter__(self) -> Iterator[Point]:
        return iter(self._params)

    def __contains__(self, point: Point) -> bool:
        return point in self._params

    def point(self, params: Params) -> Point:
        places = self._coding.places([params])[0, self._varied]
        return tuple(round(place * (column.size - 1)) for place, column in zip(places, self.columns, strict=True))

    def params(self, point: Point) -> Params:
        """The configuration at a point. Raises KeyError if the table has none there."""
        return self._params[point]

    def unit(self, points: list[Point]) -> np.ndarray:
        """(points, hyperparameters): ranks in 0..1, and categories as they are."""
        spans = [max(1, column.size - 1) if column.ordered else 1 for column in self.columns]
        return np.array(points, dtype=float).reshape(-1, len(spans)) / spans

    def nearest(self, wish: Point, points: list[Point]) -> Point:
        """The nearest of the points; two categories are 1 apart, as are the first and the last rank."""
        distances = np.abs(self.unit(points) - self.unit([wish]))
        distances = np.where([column.ordered for column in self.columns], distances, distances > 0)
        return points[int((distances**2).sum(1).argmin())]


class Peer(ABC):
    """An optimiser as a sampler: it hears what has ended, is asked for the next point, and that is checked."""

    def __init__(self, task: Task):
        self.systems, self.seed = Systems(task), task.seed
        self._told = 0

    def propose(self, study: Study) -> Proposal | None:
        for trial in study.over[self._told :]:
            self.tell(self.systems.point(trial.params), study.final(trial))
        self._told = len(study.over)
        tried = {self.systems.point(trial.params) for trial in study.trials.values()}
        untried = [point for point in self.systems if point not in tried]
        if not untried:
            return None
        point = self.ask(untried, [self.systems.point(trial.params) for trial in study.running.values()])
        if point not in untried:
            raise UserError(f"it proposed {point}, which is no untried system of the table")
        return Proposal(self.systems.params(point))

    @abstractmethod
    def tell(self, point: Point, score: float) -> None:
        """A training has ended with this score; more is better."""

    @abstractmethod
    def ask(self, untried: list[Point], running: list[Point]) -> Point:
        """The next point, one of `untried`. running: points whose score is not known yet."""


class Hebo(Peer):
    """HEBO (Cowen-Rivers et al. 2022), after its 1 + d Sobol points.

    Its proposals are drawn from the front of three acquisition functions; for several workers HEBO draws several
    without replacement, which is done here one by one. The front is that of all untried systems, not the one that
    NSGA-II finds in the whole space: HEBO can't be told which points are missing, and NSGA-II took 3 to 6 s in the
    space of a table.
    """

    def __init__(self, task: Task):
        super().__init__(task)
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        np.random.seed(self.seed)  # HEBO draws from the global generators
        torch.manual_seed(self.seed)
        space = DesignSpace().parse([*map(self._parameter, self.systems.columns)])
        self._optimiser = HEBO(space, scramble_seed=self.seed)

    @staticmethod
    def _parameter(column: Column) -> dict[str, Any]:
        if column.ordered:
            return {"name": column.name, "type": "int", "lb": 0, "ub": column.size - 1}
        return {"name": column.name, "type": "cat", "categories": [*range(column.size)]}

    def _frame(self, points: list[Point]) -> Any:
        from pandas import DataFrame

        return DataFrame(points, columns=[column.name for column in self.systems.columns])

    def tell(self, point: Point, score: float) -> None:
        self._optimiser.observe(self._frame([point]), np.array([[-score]]))

    def ask(self, untried: list[Point], running: list[Point]) -> Point:
        front = partial(Front, candidates=self._frame(untried))
        with patch("hebo.optimizers.hebo.EvolutionOpt", front):
            found = self._optimiser.suggest(1).iloc[0]
        wish = tuple(int(found[column.name]) for column in self.systems.columns)
        return self.systems.nearest(wish, untried)  # a Sobol point may be no system


class Front:
    """Takes the place of HEBO's NSGA-II: the candidates of which no other is better in all that counts."""

    def __init__(self, space: Any, acquisition: Any, candidates: Any, **settings: Any):
        self._space, self._acquisition, self._candidates = space, acquisition, candidates

    def optimize(self, **hints: Any) -> Any:
        import torch

        with torch.no_grad():
            values = self._acquisition(
                *self._space.transform(self._candidates)
            ).numpy()  # (candidates, 3), less is better
        kept = [not ((values <= value).all(1) & (values < value).any(1)).any() for value in values]
        return self._candidates[kept]


class Smac(Peer):
    """SMAC3 (Lindauer et al. 2022): its facade for hyperparameters, a random forest after a Sobol design.

    Points that the table lacks are forbidden clauses of its space. Running trials are those that it was asked for and
    not told of. Two settings are not its defaults: the forest is trained after each result, not after each eighth; and
    expected improvement is maximised among all untried systems, not among 10,000 random points and their neighbours,
    which takes 7 s.
    """

    def __init__(self, task: Task):
        super().__init__(task)
        from ConfigSpace import (
            CategoricalHyperparameter,
            Configuration,
            ConfigurationSpace,
            ForbiddenAndConjunction,
            ForbiddenEqualsClause,
            OrdinalHyperparameter,
        )
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.runhistory import TrialValue

        logging.getLogger("smac").setLevel(logging.ERROR)
        columns = self.systems.columns
        space = ConfigurationSpace(seed=self.seed)
        kinds = [OrdinalHyperparameter if column.ordered else CategoricalHyperparameter for column in columns]
        axes = [kind(column.name, [*range(column.size)]) for kind, column in zip(kinds, columns, strict=True)]
        space.add(axes)
        for point in itertools.product(*(range(column.size) for column in columns)):
            if point not in self.systems:
                equal = [ForbiddenEqualsClause(axis, value) for axis, value in zip(axes, point, strict=True)]
                space.add(ForbiddenAndConjunction(*equal) if len(equal) > 1 else equal[0])
        names = [column.name for column in columns]
        systems = [Configuration(space, dict(zip(names, point, strict=True))) for point in self.systems]
        self._folder = tempfile.TemporaryDirectory()  # SMAC writes what it was told to do
        scenario = Scenario(
            space, output_directory=self._folder.name, deterministic=True, n_trials=BUDGET, seed=self.seed
        )
        facade = HyperparameterOptimizationFacade
        self._optimiser = facade(
            scenario,
            lambda config, seed: 0.0,  # never called, as trials are asked for and told
            config_selector=facade.get_config_selector(scenario, retrain_after=1),
            acquisition_maximizer=_chooser(space, systems, self.seed),
            intensifier=facade.get_intensifier(scenario, max_config_calls=1),
            logging_level=logging.ERROR,
            overwrite=True,
        )
        self._value, self._asked = TrialValue, dict[Point, Any]()

    def tell(self, point: Point, score: float) -> None:
        self._optimiser.tell(self._asked.pop(point), self._value(cost=-score), save=False)

    def ask(self, untried: list[Point], running: list[Point]) -> Point:
        asked = self._optimiser.ask()
        point = tuple(int(asked.config[column.name]) for column in self.systems.columns)
        self._asked[point] = asked
        return point


def _chooser(space: Any, configurations: list[Any], seed: int) -> Any:
    """What maximises SMAC's acquisition function, by its value at each untried configuration."""
    from smac.acquisition.maximizer.abstract_acquisition_maximizer import AbstractAcquisitionMaximizer

    class Chooser(AbstractAcquisitionMaximizer):  # type: ignore[misc]  # not installed where mypy runs
        def _maximize(self, previous_configs: list[Any], n_points: int) -> list[tuple[float, Any]]:
            tried = set(previous_configs)
            return self._sort_by_acquisition_value([each for each in configurations if each not in tried])

    return Chooser(space, challengers=len(configurations), seed=seed)


class BoTorch(Peer):
    """BoTorch (Balandat et al. 2020): its Gaussian process and log noisy expected improvement, after Sobol points.

    It chooses among all untried systems, with the running ones as X_pending.
    """

    def __init__(self, task: Task):
        super().__init__(task)
        import torch
        from torch.quasirandom import SobolEngine

        torch.manual_seed(self.seed)
        self._sobol = SobolEngine(  # type: ignore[no-untyped-call]
            len(self.systems.columns), scramble=True, seed=self.seed
        )
        self._points: list[Point] = []
        self._scores: list[float] = []

    def tell(self, point: Point, score: float) -> None:
        self._points.append(point)
        self._scores.append(score)

    def ask(self, untried: list[Point], running: list[Point]) -> Point:
        if len(self._points) + len(running) < SOBOL or not self._points:
            places = self._sobol.draw(1)[0].tolist()
            wish = tuple(int(place * column.size) for place, column in zip(places, self.systems.columns, strict=True))
            return self.systems.nearest(wish, untried)
        return untried[self._best(untried, running)]

    def _best(self, untried: list[Point], running: list[Point]) -> int:
        import torch
        from botorch.acquisition import qLogNoisyExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import MixedSingleTaskGP, SingleTaskGP
        from botorch.optim import optimize_acqf_discrete
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x, choices, pending = (
            torch.tensor(self.systems.unit(points), dtype=torch.double) for points in (self._points, untried, running)
        )
        y = torch.tensor(self._scores, dtype=torch.double)[:, None]
        unordered = [place for place, column in enumerate(self.systems.columns) if not column.ordered]
        model = MixedSingleTaskGP(x, y, cat_dims=unordered) if unordered else SingleTaskGP(x, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fits that it repeats
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        gain = qLogNoisyExpectedImprovement(model, x, X_pending=pending if running else None)
        best, _ = optimize_acqf_discrete(gain, q=1, choices=choices)
        return int((choices - best[0]).abs().sum(1).argmin())
