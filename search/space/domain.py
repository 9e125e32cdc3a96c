"""The domain of one hyperparameter."""

import bisect
import itertools
import math
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from model.config import Config
from search.space.grammar import read_form

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar = bool | int | float | str | None


class Belief(Config):
    """Where the user expects the best value of a hyperparameter."""

    value: Scalar = Field(description="the value that is expected to be the best")
    confidence: Literal["low", "medium", "high"] = Field("medium", description="how sure that is")

    @field_validator("value", mode="before")
    @classmethod
    def _read_exponent(cls, value: Any) -> Any:
        return _number(value)


class Domain(Config):
    """The domain of one hyperparameter: a list of `values`, or a range from `min` to `max`."""

    values: tuple[Scalar, ...] | None = Field(None, min_length=1)
    min: int | float | None = None
    max: int | float | None = None
    distribution: (
        Literal["categorical", "int_uniform", "uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values"]
        | None
    ) = Field(None, description="uniform by default; int_uniform if min and max are written without a point")
    q: int | float | None = Field(None, gt=0, description="step of the q_ distributions")
    probabilities: tuple[float, ...] | None = Field(
        None, description="how often random draws take each of the values; equally often by default"
    )
    belief: Belief | None = Field(
        None,
        description="where the best value is expected, as {value: 0.001, confidence: high}: sampler default tries it "
        "early, and trusts it less with each finished trial",
    )

    @field_validator("values", mode="before")
    @classmethod
    def _read_exponents(cls, values: Any) -> Any:
        return [_number(value) for value in values] if isinstance(values, list | tuple) else values

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, domain: Any) -> Any:
        if isinstance(domain, list | tuple):
            raise ValueError(f"write {{values: {list(domain)}}}")
        if not isinstance(domain, dict | Domain):
            raise ValueError(f"{domain!r} is no choice; write {{values: [{domain}, …]}}, or set it outside of space")
        return read_form(domain) if isinstance(domain, dict) else domain

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.values is not None:
            if self.min is not None or self.max is not None or self.q is not None:
                raise ValueError("values: can't be combined with min, max and q; drop these, or drop values")
            if self.distribution not in (None, "categorical"):
                raise ValueError(f"distribution: {self.distribution} needs min and max, not values")
            if len(set(map(identity, self.values))) < len(self.values):
                raise ValueError(f"values: {list(self.values)} holds a value twice")
            self._check_probabilities(self.values)
            return self
        if self.probabilities is not None:
            raise ValueError("probabilities: belong to values, not to min and max; drop them")
        if self.min is None or self.max is None:
            raise ValueError("values: missing; a hyperparameter needs values, or min and max")
        if self.distribution == "categorical":
            raise ValueError("distribution: categorical needs values, not min and max")
        if not self.min < self.max:
            raise ValueError(f"min: {self.min:g} must be less than max {self.max:g}")
        if self._is_log and self.min <= 0:
            raise ValueError(f"min: {self.min:g} must be positive for {self.distribution}")
        if (self.distribution or "").startswith("q_") and self.q is None:
            raise ValueError(f"q: missing; {self.distribution} needs a step")
        if self.distribution == "int_uniform" and self.q is not None:
            raise ValueError("q: int_uniform takes every whole number; for steps write distribution: q_uniform")
        if self._is_int and not (float(self.min).is_integer() and float(self.max).is_integer()):
            raise ValueError("min: int_uniform needs whole numbers for min and max")
        return self

    def _check_probabilities(self, values: tuple[Scalar, ...]) -> None:
        if self.probabilities is None:
            return
        if len(self.probabilities) != len(values):
            raise ValueError(f"probabilities: {len(self.probabilities)} for {len(values)} values; give one for each")
        total = math.fsum(self.probabilities)
        if not (all(probability > 0 for probability in self.probabilities) and math.isclose(total, 1, abs_tol=1e-6)):
            raise ValueError(
                f"probabilities: must be positive and add up to 1, not to {total:g}; drop values that must not be tried"
            )

    @model_validator(mode="after")
    def _can_be_believed(self) -> Self:
        try:
            self.belief and self.take(self.belief.value)
        except ValueError as error:
            raise ValueError(f"belief.value: {error}") from None
        return self

    @property
    def _is_log(self) -> bool:
        return self.distribution in ("log_uniform_values", "q_log_uniform_values")

    @property
    def _is_int(self) -> bool:
        if self.distribution is None:
            return isinstance(self.min, int) and isinstance(self.max, int)
        return self.distribution == "int_uniform"

    def for_whole_numbers(self) -> Self:
        """The same range with whole numbers only, for a field that takes no others. Raises ValueError."""
        if self.values is not None or self._is_int:
            return self
        ends = (self.min, self.max, self.q or 1)
        if not all(float(end).is_integer() for end in ends if end is not None):
            raise ValueError("takes only whole numbers; write min, max and q as such")
        low, high, step = (int(end) for end in ends if end is not None)
        steps = {None: "int_uniform", "uniform": "int_uniform", "log_uniform_values": "q_log_uniform_values"}
        distribution = steps.get(self.distribution, self.distribution)
        q = None if distribution == "int_uniform" else step
        return self.model_copy(update={"min": low, "max": high, "q": q, "distribution": distribution})

    @property
    def is_ordered(self) -> bool:
        """Whether its values are numbers, so that a near value is a similar one."""
        return self.values is None or all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)

    @cached_property
    def _ranks(self) -> dict[object, int]:
        """The place of each listed value: by size if they are numbers, otherwise in the order of the list."""
        assert self.values is not None
        listed = sorted(self.values, key=lambda v: float(str(v))) if self.is_ordered else self.values
        return {identity(value): place for place, value in enumerate(listed)}

    def unit(self, value: Scalar) -> float:
        """The place of a value in 0..1: listed values by rank, values of a range linearly or by their logarithm."""
        if self.values is not None:
            return self._ranks[identity(value)] / max(1, len(self.values) - 1)
        assert self.min is not None and self.max is not None and isinstance(value, int | float)
        value = min(max(value, self.min), self.max)  # the last step may exceed max by a rounding error
        if self._is_log:
            return math.log(value / self.min) / math.log(self.max / self.min)
        return (value - self.min) / (self.max - self.min)

    @cached_property
    def shares(self) -> tuple[float, ...] | None:
        """The share of each step of `near` in random draws, if they are not equal."""
        if self.probabilities is None or self.values is None:
            return None
        share = {identity(value): each for value, each in zip(self.values, self.probabilities, strict=True)}
        return tuple(share[identity(value)] for value in self._by_rank)

    @cached_property
    def _by_rank(self) -> list[Scalar]:
        assert self.values is not None
        return sorted(self.values, key=lambda v: self._ranks[identity(v)])

    def at(self, unit: float) -> Scalar:
        """The value at a place in [0, 1).

        Each listed value has a share of its probability, or an equal one, as has each step of a range.
        """
        if self.values is not None:
            if self.shares:
                ends = list(itertools.accumulate(self.shares))
                return self._by_rank[min(bisect.bisect_right(ends, unit), len(ends) - 1)]
            return self._by_rank[min(int(unit * len(self._by_rank)), len(self._by_rank) - 1)]
        assert self.min is not None and self.max is not None
        count = self.count()
        if count < math.inf:
            step = min(int(unit * count), int(count) - 1)
            return int(self.min) + step if self._is_int else self.min + step * (self.q or 0)  # whole if both are
        if self._is_log:
            return self._snap(self.min * (self.max / self.min) ** unit)
        return self.min + unit * (self.max - self.min)

    def near(self, unit: float) -> Scalar:
        """The value nearest to a place in 0..1; the inverse of `unit`."""
        unit = float(unit)  # a NumPy float would be stored as text
        count = self.count()
        if count == math.inf:
            return self.at(min(max(unit, 0.0), 1.0))
        step = min(max(round(unit * (count - 1)), 0), int(count) - 1)
        return self._by_rank[step] if self.values is not None else self.at((step + 0.5) / count)

    def take(self, value: Scalar) -> Scalar:
        """The value as this domain writes it. Raises ValueError if it is not in the domain."""
        if self.values is not None:
            if identity(value) not in self._ranks:
                raise ValueError(f"{value!r} is not one of {list(self.values)}")
            return self._by_rank[self._ranks[identity(value)]]
        assert self.min is not None and self.max is not None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.min <= value <= self.max:
            raise ValueError(f"{value!r} is not between {self.min:g} and {self.max:g}")
        step = 1 if self._is_int else None if self._is_log else self.q
        if step is not None and abs((steps := (value - self.min) / step) - round(steps)) > 1e-8:
            raise ValueError(f"{value!r} is no step of {step:g} from {self.min:g}")
        return int(value) if self._is_int else float(value)

    def nearest(self, value: Scalar) -> Scalar:
        """The value of the domain that is nearest to any value; the first one if nothing is near."""
        if not self.is_ordered or isinstance(value, bool) or not isinstance(value, int | float):
            listed = self.values or (self.near(0.0),)
            return next((each for each in listed if identity(each) == identity(value)), listed[0])
        if self.values is not None:
            return min(self._by_rank, key=lambda each: abs(float(str(each)) - value))
        return self.near(self.unit(value))

    def _snap(self, value: float) -> int | float:
        """The value rounded to the step of q_log_uniform_values, within the range."""
        assert self.min is not None and self.max is not None
        if self.q is not None:
            value = round(value / self.q) * self.q
        return min(max(value, self.min), self.max)

    def to_optuna(self) -> "BaseDistribution":
        """Optuna's distribution, as the study has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.values is not None:
            return CategoricalDistribution(self.values)
        assert self.min is not None and self.max is not None
        if self._is_int:
            return IntDistribution(int(self.min), int(self.max))
        if self.q is None or self._is_log:  # Optuna has no log range with steps
            return FloatDistribution(self.min, self.max, log=self._is_log)
        return FloatDistribution(self.min, self.max, step=self.q)

    def count(self) -> float:
        """The number of values; infinite for a continuous range."""
        if self.values is not None:
            return len(self.values)
        assert self.min is not None and self.max is not None
        if self._is_int:
            return self.max - self.min + 1
        if self.q is None or self._is_log:
            return math.inf
        return math.floor((self.max - self.min) / self.q + 1e-9) + 1

    def choices(self) -> tuple[Scalar, ...] | None:
        """All values; None for a continuous range."""
        if self.values is not None:
            return self.values
        count = self.count()
        if count == math.inf:
            return None
        assert self.min is not None
        if self._is_int:
            return tuple(int(self.min) + i for i in range(int(count)))
        return tuple(self.min + i * (self.q or 0) for i in range(int(count)))


def _number(value: Any) -> Any:
    """The value, or the number that it is: YAML 1.1 reads 1e-3 as text."""
    is_number = isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", value)
    return float(value) if is_number else value


def identity(value: Scalar) -> object:
    """A key that is equal for equal values: 1 equals 1.0, but neither true nor "1"."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else (type(value), value)
