"""The space of configurations, written in the grammar of W&B sweep `parameters`."""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ConfigDict, RootModel

from search.space.domain import Domain, Scalar, identity

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Params = dict[str, Scalar]  # dotted path -> value

LARGEST_GRID = 100_000


class SearchSpace(RootModel[dict[str, Domain]]):
    """Name of a hyperparameter (in a search the dotted path of a trial's field) -> its domain."""

    model_config = ConfigDict(frozen=True)
    root: dict[str, Domain] = {}

    @property
    def domains(self) -> dict[str, Domain]:
        """The domain of each hyperparameter, in the order of the configuration."""
        return self.root

    def size(self) -> float:
        """How many combinations there are, valid or not; infinite with a continuous range."""
        return math.prod(domain.count() for domain in self.domains.values())

    def grid(self) -> Iterator[Params]:
        """Every combination, the last hyperparameter varying fastest. Raises ValueError if there is no end of them."""
        if self.size() > LARGEST_GRID:
            raise ValueError(f"the space has {self.size():g} combinations; a grid may have {LARGEST_GRID:,}")
        columns = [domain.choices() or () for domain in self.domains.values()]
        for values in itertools.product(*columns):
            yield dict(zip(self.domains, values, strict=True))

    def to_optuna(self) -> "dict[str, BaseDistribution]":
        """Optuna's distribution of each hyperparameter."""
        return {path: domain.to_optuna() for path, domain in self.domains.items()}

    def distance(self, first: Params, second: Params) -> float:
        """The largest difference in one hyperparameter, 0..1: of places where it is ordered, else 1 for two values.

        One that the other values leave unused in one configuration alone counts as 1.
        """
        largest = 0.0
        for path, domain in self.domains.items():
            if path in first and path in second and domain.is_ordered:
                largest = max(largest, abs(domain.unit(first[path]) - domain.unit(second[path])))
            elif first.get(path) != second.get(path):
                largest = 1.0
        return largest

    @staticmethod
    def key(params: Params) -> str:
        """Equal for equal configurations."""
        return repr(sorted((path, identity(value)) for path, value in params.items()))
