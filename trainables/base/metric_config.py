"""Metrics of translations that a configuration adds: the table of their kinds, and the settings of each."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, RootModel, field_validator

from trainables.base.files import full_path
from trainables.base.kinds import Kind, Kinds, Named
from trainables.base.metrics import Direction

BUILT_IN = ("bleu", "chrf", "ter")  # metrics that every configuration has
TAKEN = (*BUILT_IN, "loss", "nll_per_char", "sentence_bleu", "ppl_per_char", "opened")  # no metric may be called so
NAME = r"[a-z][a-z0-9_]*"


class MetricSettings(Kind):
    """A kind of metric that scores each sentence; the corpus score is the mean of its scores."""

    scorer: ClassVar[str]  # module:Name of a `trainables.scoring.metrics.Scorer`, imported when it is needed
    direction: Direction = Field("maximize", description="whether a higher or a lower score is better")


class CometMetric(MetricSettings):
    """COMET, a neural metric: its package and a model by name or file.

    Rei et al. 2020. A model that needs no references, such as CometKiwi, gets none.
    """

    kind: Literal["comet"] = "comet"
    scorer = "trainables.scoring.comet:CometScorer"
    model: str = Field(
        "Unbabel/wmt22-comet-da", min_length=1, description="a model of the Hugging Face Hub, or a checkpoint (.ckpt)"
    )
    batch_size: int = Field(16, ge=1, description="sentences that are scored at a time")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")

    @field_validator("model")
    @classmethod
    def _absolute(cls, model: str) -> str:
        """A file by its whole path, as workers run in other folders."""
        return str(full_path(model)) if model.endswith(".ckpt") else model


class CommandMetric(MetricSettings):
    """A program of yours, which may have a Python environment of its own: lines in, a score for each out."""

    kind: Literal["command"] = "command"
    scorer = "trainables.scoring.command:CommandScorer"
    command: str = Field(min_length=1, description="the command line, in a shell's notation")
    folder: str = Field(
        ".", validate_default=True, description="where the command is started; '.': where the search is started"
    )
    device: Literal["auto", "cpu"] = Field("auto", description="cpu: the command sees no GPU")
    timeout_seconds: float = Field(600, gt=0, description="the longest silence while scores are missing")

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: str) -> str:
        return str(full_path(folder))


class NamedMetric(Named, MetricSettings, extra="allow"):
    """A function or a class of yours."""

    scorer = "trainables.scoring.own:OwnScorer"


# The kinds of a metric in `metrics`; the first is the default. A new kind is a class here, and a file in
# trainables/scoring/.
METRICS: Kinds[MetricSettings] = Kinds(CometMetric, CommandMetric, named=NamedMetric)


class Metrics(RootModel[dict[str, Annotated[MetricSettings, METRICS]]]):
    """Metrics by name, besides the built-in ones."""

    model_config = ConfigDict(frozen=True)
    root: dict[str, Annotated[MetricSettings, METRICS]] = {}

    @field_validator("root")
    @classmethod
    def _new_names(cls, metrics: dict[str, MetricSettings]) -> dict[str, MetricSettings]:
        for name in metrics:
            if name in TAKEN:
                raise ValueError(f"{name!r} is the name of a built-in score; choose another")
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r}: use small letters, digits and '_', as for valid_{name.lower()} in reports")
        return metrics

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """The names."""
        return iter(self.root)

    def __getitem__(self, name: str) -> MetricSettings:
        """The settings of a metric. Raises KeyError."""
        return self.root[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a metric of this name."""
        return name in self.root
