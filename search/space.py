"""The space of configurations, written in the grammar of W&B sweep `parameters`."""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any, Literal, Self

import optuna
from pydantic import ConfigDict, Field, RootModel, ValidationError, field_validator, model_validator

from model.config import Config
from trainables.command_line import did_you_mean
from trainables.config import TrialConfig, flatten

Scalar = bool | int | float | str | None
Params = dict[str, Scalar]  # dotted path -> value

LARGEST_GRID = 100_000


class Domain(Config):
    """What one hyperparameter may be: a list of `values`, or a range from `min` to `max`."""

    values: tuple[Scalar, ...] | None = Field(None, min_length=1)
    min: float | None = None
    max: float | None = None
    distribution: (
        Literal["categorical", "int_uniform", "uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values"]
        | None
    ) = Field(None, description="uniform unless said otherwise; int_uniform where min and max are whole numbers")
    q: float | None = Field(None, gt=0, description="step of the q_ distributions")

    @field_validator("values", mode="before")
    @classmethod
    def _read_exponents(cls, values: Any) -> Any:
        # YAML 1.1 takes 1e-3 for text.
        if isinstance(values, list | tuple):
            return [
                float(v) if isinstance(v, str) and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", v) else v for v in values
            ]
        return values

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.values is not None:
            if self.min is not None or self.max is not None or self.q is not None:
                raise ValueError("values: stands alone; drop min, max and q, or drop values")
            if self.distribution not in (None, "categorical"):
                raise ValueError(f"distribution: {self.distribution} needs min and max, not values")
            if len(set(map(repr, self.values))) < len(self.values):
                raise ValueError(f"values: {list(self.values)} holds a value twice")
            return self
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
        if self._is_int and not (self.min.is_integer() and self.max.is_integer()):
            raise ValueError("min: int_uniform needs whole numbers for min and max")
        return self

    @property
    def _is_log(self) -> bool:
        return self.distribution in ("log_uniform_values", "q_log_uniform_values")

    @property
    def _is_int(self) -> bool:
        if self.distribution is None and self.min is not None and self.max is not None:
            return self.min.is_integer() and self.max.is_integer()
        return self.distribution == "int_uniform"

    def to_optuna(self) -> optuna.distributions.BaseDistribution:
        if self.values is not None:
            return optuna.distributions.CategoricalDistribution(self.values)
        assert self.min is not None and self.max is not None
        if self._is_int:
            return optuna.distributions.IntDistribution(int(self.min), int(self.max))
        if self.q is None or self._is_log:  # Optuna steps on no log range; `snap` rounds such a draw
            return optuna.distributions.FloatDistribution(self.min, self.max, log=self._is_log)
        return optuna.distributions.FloatDistribution(self.min, self.max, step=self.q)

    def snap(self, value: Scalar) -> Scalar:
        """A draw rounded to the step of q_log_uniform_values, inside the range."""
        if self.q is None or not self._is_log or not isinstance(value, float):
            return value
        assert self.min is not None and self.max is not None
        return min(max(round(value / self.q) * self.q, self.min), self.max)

    def count(self) -> float:
        """How many values there are."""
        if self.values is not None:
            return len(self.values)
        assert self.min is not None and self.max is not None
        if self._is_int:
            return self.max - self.min + 1
        if self.q is None or self._is_log:
            return math.inf
        return math.floor((self.max - self.min) / self.q + 1e-9) + 1

    def choices(self) -> tuple[Scalar, ...] | None:
        """All values, or None where there is no end of them."""
        if self.values is not None:
            return self.values
        count = self.count()
        if count == math.inf:
            return None
        assert self.min is not None
        if self._is_int:
            return tuple(int(self.min) + i for i in range(int(count)))
        return tuple(self.min + i * (self.q or 0) for i in range(int(count)))


class SearchSpace(RootModel[dict[str, Domain]]):
    """Dotted path of a trial's field -> its domain."""

    model_config = ConfigDict(frozen=True)
    root: dict[str, Domain] = {}

    @model_validator(mode="after")
    def _names_fields(self) -> Self:
        known = flatten(TrialConfig().model_dump())
        searchable = [path for path in known if path.split(".")[0] not in ("data", "seed")]
        for path in ("training.epochs", "training.report_steps"):
            searchable.remove(path)
        for path, domain in self.domains.items():
            if path not in known:
                raise ValueError(f"{path}: names no field of a trial{did_you_mean(path, searchable)}")
            if path not in searchable:
                raise ValueError(f"{path}: decides what is compared, so it can't be searched; set it once for all")
            for value in domain.values or (domain.min, domain.max):
                if mistake := _type_mistake(path, value):
                    raise ValueError(f"{path}: {value!r} can't be its value: {mistake}")
        return self

    @property
    def domains(self) -> dict[str, Domain]:
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

    def to_optuna(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {path: domain.to_optuna() for path, domain in self.domains.items()}

    def snap(self, params: Params) -> Params:
        return {path: self.domains[path].snap(value) for path, value in params.items()}


def _type_mistake(path: str, value: Scalar) -> str | None:
    """What is wrong with a value whatever the other fields are."""
    try:
        TrialConfig().with_values({path: value})
    except ValidationError as error:
        for mistake in error.errors():
            if ".".join(map(str, mistake["loc"])).startswith(path):
                return mistake["msg"]
    return None


def configure(base: TrialConfig, params: Params) -> TrialConfig | None:
    """The trial that the parameters make of the base; None if they don't fit together."""
    try:
        return base.with_values(params)
    except ValidationError:
        return None
