"""The trials that a search begins with, `search.first`, as parameters of its space."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, product

from pydantic import ValidationError

from search.space.domain import Domain, Scalar, identity
from search.space.space import Params, SearchSpace
from trainables.base.config import TrialConfig, flatten
from trainables.base.errors import did_you_mean

BASE = "base"
MOST_NEIGHBOURS = 500


@dataclass(frozen=True)
class Around:
    """A space around a base.

    Attributes:
        base: The trial that the space varies.
        accept: See `Experiment.accept`.
        probes: Combinations of the space, whether valid or not, to choose from.
    """

    base: TrialConfig
    space: SearchSpace
    accept: Callable[[Params], Params | None]
    probes: Callable[[], Iterable[Params]]

    def express(self, config: TrialConfig) -> Params | None:
        """The parameters that give this trial in the space; None if the space does not contain it."""
        values = flatten(config.model_dump())
        params: Params = {}
        for path, domain in self.space.domains.items():
            if path in config.unused:
                continue
            try:
                params[path] = domain.take(values[path])
            except ValueError:
                return None
        if self.accept(params) is None:
            return None
        same = self.base.with_values({**params, **{path: values[path] for path in config.unused}}) == config
        return params if same else None

    def first(self, entries: Sequence[str | dict[str, Scalar]]) -> list[Params]:
        """The parameters of these first trials, each once. Raises ValueError for one that the space can't have."""
        found = [self._one(entry, f"first[{number}]") for number, entry in enumerate(entries)]
        return list({self.space.key(params): params for params in found if params is not None}.values())

    def _one(self, entry: str | dict[str, Scalar], place: str) -> Params | None:
        wanted = {} if isinstance(entry, str) else entry
        known = flatten(self.base.model_dump())
        for path, value in wanted.items():
            if path not in known:
                raise ValueError(f"{place}.{path}: names no field of a trial{did_you_mean(path, [*known])}")
            domain = self.space.domains.get(path)
            if domain is None and identity(known[path]) != identity(value):
                raise ValueError(f"{place}.{path}: the space does not vary it, so it stays {known[path]!r}; drop it")
            try:
                domain and domain.take(value)
            except ValueError as error:
                raise ValueError(f"{place}.{path}: {error}; add it to the space, or drop it here") from None
        try:
            exact = self.express(self.base.with_values(wanted))
        except ValidationError:
            exact = None
        nearest = exact if exact is not None else self._nearest(wanted, known)
        if nearest is None and wanted:
            raise ValueError(f"{place}: no valid trial of the space has these values; change one of them")
        return nearest

    def _nearest(self, wanted: dict[str, Scalar], known: dict[str, Scalar]) -> Params | None:
        """The valid trial with the wanted values that is nearest to the base; None if none was found."""
        domains = self.space.domains
        fixed = {path: value for path, value in wanted.items() if path in domains}
        start = {path: domain.nearest(known[path]) for path, domain in domains.items()} | fixed
        best, least = None, math.inf
        for probe in chain([start], _neighbours(domains, start), self.probes()):
            params = self.accept({**probe, **fixed})
            if params is None or any(identity(params.get(path)) != identity(value) for path, value in fixed.items()):
                continue
            if probe is start:
                return params
            distance = sum(_distance(domain, start[path], params.get(path)) for path, domain in domains.items())
            if distance < least:
                best, least = params, distance
        return best


def _neighbours(domains: Mapping[str, Domain], start: Params) -> Iterator[Params]:
    """The combinations that differ from this one in one listed value, then those that differ in two, not too many."""
    listed = {path: domain.values for path, domain in domains.items() if domain.values is not None}
    for count in (1, 2):
        changes = (
            dict(zip(paths, values, strict=True))
            for paths in combinations(listed, count)
            for values in product(*(listed[path] for path in paths))
        )
        yield from ({**start, **change} for change in islice(changes, MOST_NEIGHBOURS))


def _distance(domain: Domain, one: Scalar, other: Scalar) -> float:
    """How far apart two values are, 0 to 1; a value that is unused is halfway from all."""
    if other is None and None not in (domain.values or ()):
        return 0.5
    if domain.is_ordered:
        return abs(domain.unit(one) - domain.unit(other))
    return float(identity(one) != identity(other))
