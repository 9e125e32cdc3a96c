"""The space of configurations, written in the grammar of W&B sweep `parameters`."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, RootModel, model_validator

from search.space.domain import Domain, Scalar, identity
from search.space.grammar import flat, sweep_form

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Params = dict[str, Scalar]  # dotted path -> value

LARGEST_GRID = 100_000


class SearchSpace(RootModel[dict[str, Domain]]):
    """The domain of each hyperparameter, by its name: in a search, the dotted path of a trial's field."""

    model_config = ConfigDict(frozen=True)
    root: dict[str, Domain] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_nesting(cls, tree: Any) -> Any:
        return flat(tree) if isinstance(tree, Mapping) else tree

    @property
    def domains(self) -> dict[str, Domain]:
        """The domain of each hyperparameter, in the order of the configuration."""
        return self.root

    def size(self) -> float:
        """The number of combinations, valid or not; infinite with a continuous range."""
        return math.prod(domain.count() for domain in self.domains.values())

    def grid(self) -> Iterator[Params]:
        """Every combination; the last hyperparameter varies fastest. Raises ValueError if they are too many."""
        if self.size() > LARGEST_GRID:
            raise ValueError(f"the space has {self.size():g} combinations; a grid may have {LARGEST_GRID:,}")
        columns = [domain.choices() or () for domain in self.domains.values()]
        for values in itertools.product(*columns):
            yield dict(zip(self.domains, values, strict=True))

    def to_optuna(self) -> "dict[str, BaseDistribution]":
        """Optuna's distribution of each hyperparameter."""
        return {path: domain.to_optuna() for path, domain in self.domains.items()}

    def to_sweep(self) -> dict[str, Any]:
        """The space as `parameters` of a sweep that W&B accepts."""
        return {
            path: sweep_form(domain.model_dump(mode="json", exclude_none=True, exclude={"belief"}))
            for path, domain in self.domains.items()
        }

    def distance(self, first: Params, second: Params) -> float:
        """The largest difference in one hyperparameter, in 0..1.

        It is the distance of two places if the values are ordered, and 1 for different values otherwise. If only one of
        the configurations uses a hyperparameter, it counts as 1.
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
        """A key that is equal for equal configurations."""
        return repr(sorted((path, identity(value)) for path, value in params.items()))
