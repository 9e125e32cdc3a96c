"""The common part of all trials' configurations, and functions that flatten and change configurations."""

import hashlib
import inspect
import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from model.config import Config
from trainables.base.report import Unit


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError(f"{name!r}: use letters, digits, '.', '_' and '-', and no leading dot")
    return name


RunName = Annotated[str, AfterValidator(_check_name)]  # a name can't leave its folder


class TrainingConfig(Config):
    """How long a trial is trained, and how often it reports: the part of `training` that every problem has."""

    epochs: float = Field(
        5,
        gt=0,
        description="passes over the training data; a fraction, such as 0.25, with report_steps or report_tokens",
    )
    report_steps: int | None = Field(
        None,
        ge=1,
        description="optimizer steps from one report, with validation and checkpoint, to the next; null: an epoch",
    )
    report_tokens: int | None = Field(
        None,
        ge=1,
        description="target tokens from one report to the next, counted by the share of an epoch; in place of "
        "report_steps",
    )

    @field_validator("epochs")
    @classmethod
    def _whole(cls, epochs: float) -> float:
        """A whole number stays an int, as files and reports show it."""
        return int(epochs) if epochs == int(epochs) else epochs

    @model_validator(mode="after")
    def _reports_in_time(self) -> Self:
        if self.report_steps is not None and self.report_tokens is not None:
            raise ValueError(
                f"report_tokens: {self.report_tokens}: reports come by tokens or by steps; drop this or report_steps"
            )
        if isinstance(self.epochs, float) and self.unit == "epoch":
            raise ValueError(
                f"epochs: {self.epochs:g} epochs end before the first report; set report_steps, too, such as 1000"
            )
        return self

    @property
    def unit(self) -> Unit:
        """The unit of reports, checkpoints and rungs."""
        return "step" if self.report_steps is not None else "token" if self.report_tokens is not None else "epoch"

    @property
    def report_every(self) -> int:
        """The progress from one report to the next, in the unit."""
        return self.report_steps or self.report_tokens or 1

    @property
    def report_key(self) -> str:
        """The key that sets the unit, if it is not an epoch."""
        return f"training.report_{self.unit}s"

    def last_progress(self, per_epoch: int) -> int:
        """The progress of a whole training, in a unit of which an epoch has `per_epoch`."""
        return math.ceil(round(per_epoch * self.epochs, 6))  # 0.1 * 30 is more than 3 in floating point


class TrialConfig(Config):
    """Everything that determines one trial of a problem: the same value on the same machine gives the same numbers.

    A problem's class has the fields `training`, a TrainingConfig, and `seed`, and any others. Files and reports have
    them in the order of the class.
    """

    # Dotted paths of fields besides `seed` that decide what is compared, and can't be searched.
    fixed: ClassVar[tuple[str, ...]] = ()
    # Those of fields that no training depends on, such as metrics of its results; they can't be searched either.
    beside: ClassVar[tuple[str, ...]] = ()
    # Fields that may have any keys; the space can vary the keys that they have.
    free: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:
        training: TrainingConfig
        seed: int

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        fields = cls.model_fields
        if not fields:  # what the classes of several problems have in common
            return
        training: Any = fields["training"].annotation if "training" in fields else None
        if "seed" not in fields or not (inspect.isclass(training) and issubclass(training, TrainingConfig)):
            raise TypeError(f"{cls.__name__}: needs the fields seed, an int, and training, a TrainingConfig")

    @classmethod
    def base(cls) -> Self:
        """The configuration with the defaults of all fields."""
        return cls.model_validate({})

    def reporting(self, metric: str) -> Self:
        """The configuration of a trial whose reports have the score that trials are compared by."""
        return self

    @property
    def compared(self) -> tuple[str, ...]:
        """Dotted paths of fields that decide what is compared, so that no resume can change them."""
        return self.fixed

    @property
    def unused(self) -> frozenset[str]:
        """Dotted paths of fields that have no effect with the values of the others."""
        return frozenset()

    @property
    def num_parameters(self) -> int | None:
        """The parameters of the model, counted without building it; None if that is not possible."""
        return None

    def with_values(self, values: dict[str, Any]) -> Self:
        """A copy in which each dotted path has the given value, validated again.

        >>> TranslationConfig().with_values({"model.d_model": 512}).model.d_model
        512
        """
        return type(self).model_validate(set_paths(self.model_dump(), values))


def set_paths(tree: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Set nested keys named by dotted paths, in place; a word in place of a mapping is the name of a kind."""
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            if isinstance(node.setdefault(parent, {}), str):
                node[parent] = {"kind": node[parent]}
            node = node[parent]
        node[leaf] = value
    return tree


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def digest(value: Any) -> str:
    """A short hash of a plain value: equal values have equal hashes."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
