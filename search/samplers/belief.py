"""What the user believes of the best values, and how long it counts (after πBO; Hvarfner et al. 2022)."""

from collections.abc import Sequence

import numpy as np

from search.samplers.coding import Coding
from search.space.space import Params, SearchSpace

WIDTHS = {"high": 0.1, "medium": 0.2, "low": 0.35}  # standard deviation around a believed value, as a share of a domain
SHARES = {"high": 0.9, "medium": 0.7, "low": 0.5}  # of a believed word
DOUBT = 0.05  # the least density of a value, where that of the believed one is 1: no value is ruled out
STRENGTH = 3.0  # after n finished trials, log density counts STRENGTH / n


class Beliefs:
    """The beliefs of a space's domains, as a density over configurations."""

    def __init__(self, space: SearchSpace, coding: Coding):
        self._coding = coding
        domains = space.domains
        held = [(index, path) for index, path in enumerate(domains) if domains[path].belief is not None]
        self._columns = [index for index, _ in held]
        self.values: Params = {}
        self._places, self._widths = list[float](), list[float]()
        self._shares: list[float | None] = []  # of another word beside the believed one; None for numbers
        for _, path in held:
            domain, belief = domains[path], domains[path].belief
            assert belief is not None
            self.values[path] = domain.take(belief.value)
            self._places.append(domain.unit(self.values[path]))
            self._widths.append(WIDTHS[belief.confidence])
            others = domain.count() - 1
            share = SHARES[belief.confidence]
            self._shares.append(None if domain.is_ordered else (1 - share) / max(1, others) / share)

    def __bool__(self) -> bool:
        return bool(self._columns)

    def log_density(self, places: np.ndarray) -> np.ndarray:
        """The logarithm of the density, (n, hyperparameters) -> (n,); 0 at believed values, and for unused ones."""
        total = np.zeros(len(places))
        beliefs = zip(self._columns, self._places, self._widths, self._shares, strict=True)
        for column, place, width, share in beliefs:
            away = places[:, column] - place
            near = np.exp(-0.5 * (away / width) ** 2) if share is None else np.where(np.abs(away) < 1e-9, 1.0, share)
            total += np.where(np.isnan(away), 0.0, np.log(DOUBT + (1 - DOUBT) * near))
        return total

    def weight(self, finished: int) -> float:
        """How much the logarithm counts in the choice of the next trial."""
        return STRENGTH / max(1, finished)

    def best(self, configurations: Sequence[Params]) -> Params:
        """The configuration that is believed most; of equal ones the first."""
        return configurations[int(np.argmax(self.log_density(self._coding.places(list(configurations)))))]

    def draw(self, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same points, with believed values or values near them; words keep theirs or become the believed one."""
        drawn = places.copy()
        for column, place, width, share in zip(self._columns, self._places, self._widths, self._shares, strict=True):
            near = np.clip(place + width * rng.normal(size=len(places)), 0, 1)
            drawn[:, column] = near if share is None else place
        return drawn
