"""Hyperparameters as columns of a regression, with descriptions of their steps and values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from search.settings.wording import noun, short_name, short_value
from search.space.domain import Domain, Scalar
from search.space.space import Params

MOST_LEVELS = 12  # a range with more steps is treated as continuous


@dataclass(frozen=True, eq=False)  # comparing arrays does not give a single truth value
class Factor:
    """One hyperparameter in the trials.

    columns: (trials, columns), 0 in the middle of its values, and for a trial that doesn't use it.
    contrasts: description of a comparison -> weights of the columns' coefficients, (columns,).
    """

    path: str
    columns: np.ndarray
    contrasts: dict[str, np.ndarray]

    @property
    def is_step(self) -> bool:
        """Whether its effect is one number."""
        return len(self.contrasts) == 1


def as_steps(path: str, domain: Domain, trials: Sequence[Params]) -> Factor:
    """Ordered values, or any two values, as one column that counts steps; others as in `as_levels`."""
    if not domain.is_ordered and domain.count() > 2:
        return as_levels(path, domain, trials)
    step, place = _step(path, domain)
    column = np.array([place(params[path]) if path in params else 0.0 for params in trials])
    return Factor(path, column[:, None], {step: np.ones(1)})


def as_levels(path: str, domain: Domain, trials: Sequence[Params]) -> Factor:
    """Each value that was tried, or each third of a range, with its difference from the mean of these."""
    levels = list_levels(path, domain, trials)
    coding = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)]) if levels else np.zeros((0, 0))
    columns = np.zeros((len(trials), coding.shape[1]))
    for row, level in zip(coding, levels, strict=True):
        columns[level.trials] = row
    return Factor(path, columns, {level.label: row for level, row in zip(levels, coding, strict=True)})


@dataclass(frozen=True)
class Level:
    """A value, or a third of a range, and the rows of its trials. at: the value, or the middle of the third."""

    label: str
    at: Scalar
    trials: list[int]


def list_levels(path: str, domain: Domain, trials: Sequence[Params]) -> list[Level]:
    """The levels that were tried, in their order."""
    values = _listed(domain)
    if values is None:
        cuts = [short_value(domain.near(cut / 3)) for cut in range(4)]
        levels = [
            Level(f"{low} to {high}", domain.near(i / 3 + 1 / 6), []) for i, (low, high) in enumerate(pairwise(cuts))
        ]
        units = [1 / 6, 1 / 2, 5 / 6]
    else:
        levels = [Level(short_value(value), value, []) for value in values]
        units = [domain.unit(value) for value in values]
    for place, params in enumerate(trials):
        if path in params:
            nearest = int(np.argmin(np.abs(np.array(units) - domain.unit(params[path]))))
            levels[nearest].trials.append(place)
    return [level for level in levels if level.trials]


def _listed(domain: Domain) -> list[Scalar] | None:
    """The values in their order; None for a range with more than a few."""
    choices = domain.choices()
    if choices is None or (domain.values is None and len(choices) > MOST_LEVELS):
        return None
    return sorted(choices, key=domain.unit)


def _step(path: str, domain: Domain) -> tuple[str, Callable[[Scalar], float]]:
    """A description of one step, and a function from a value to its steps from the middle."""
    name, values = short_name(path), _listed(domain)
    if values is not None:
        steps = max(1, len(values) - 1)
        return _listed_step(name, values), lambda value: (domain.unit(value) - 0.5) * steps
    assert domain.min is not None and domain.max is not None
    if "log" in (domain.distribution or ""):
        doublings = math.log2(domain.max / domain.min)
        return f"each doubling of {name}", lambda value: (domain.unit(value) - 0.5) * doublings
    whole = f"{name} {short_value(domain.max)} instead of {short_value(domain.min)}"
    return whole, lambda value: domain.unit(value) - 0.5


def _listed_step(name: str, values: list[Scalar]) -> str:
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    gaps = np.diff(numbers)
    if len(numbers) == len(values) > 1 and name.endswith("s") and (gaps == 1).all():
        return f"one more {noun(name)}"
    if len(values) <= 2:
        return f"{name} {' instead of '.join(short_value(value) for value in reversed(values))}"
    if np.allclose(gaps, gaps[0]):
        return f"each {short_value(float(gaps[0]))} more of {name}"
    if numbers[0] > 0 and np.allclose(np.diff(np.log2(numbers)), 1):
        return f"each doubling of {name}"
    return f"each next value of {name}"
