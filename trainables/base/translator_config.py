"""What the configurations of all problems with translators have: text, batches, and metrics of translations."""

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.base.config import TrainingConfig, TrialConfig
from trainables.base.data_config import DataConfig
from trainables.base.errors import did_you_mean
from trainables.base.metric_config import BUILT_IN, Metrics

Part = Literal["encoder", "decoder", "embeddings"]  # of a model
Precision = Literal["auto", "float32", "bf16"]
SCATTER = 20.0  # BLEU; a rule of thumb, by which 2,000 sentences show a difference of two systems to within 0.45
SURE = 1.28  # standard deviations, for a one-sided confidence of 0.9
METRICS_FIELD = (
    "further metrics of translations by name, such as {comet: {model: Unbabel/wmt22-comet-da}}; in reports valid_NAME, "
    "in the ranking test_NAME"
)


class TranslatorTraining(TrainingConfig):
    """Batches of a parallel text, and the reports of a translator."""

    epochs: float = Field(
        5,
        gt=0,
        description="passes over the training text; a fraction, such as 0.25, with report_steps or report_tokens",
    )
    valid_pairs: int | None = Field(
        None,
        ge=1,
        description="score reports except the last on at most this many validation pairs, always the same; null: as "
        "many as valid_difference needs",
    )
    valid_difference: float | None = Field(
        0.5,
        gt=0,
        description="the difference in BLEU that reports except the last should show with a confidence of 0.9, which "
        "decides how many validation pairs they are scored on (0.5: 2,622; 1: 656); null: all",
    )
    valid_metrics: tuple[str, ...] = Field(
        (),
        description="further scores of each report's translations, beside BLEU: chrf, ter, or names of `metrics`; "
        "that of search.metric is added",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="end a training after so many reports in a row without a lower validation loss per character, and "
        "keep the model of the best report, whose scores later reports repeat, so that trials stay comparable at "
        "rungs; null: keep the last model",
    )
    batch_tokens: int | None = Field(
        1024,
        ge=1,
        description="most tokens per batch: pairs times (longest source + longest target)",
    )
    batch_sentences: int | None = Field(None, ge=1, description="or: sentence pairs per batch (batch_tokens: null)")
    precision: Precision = Field(
        "auto",
        description="type of numbers in the matrix products of training: float32, bf16, or auto, which is bf16 on GPUs "
        "that compute it, and float32 on CPUs, unless a search that begins on them measures that bf16 is faster",
    )

    if TYPE_CHECKING:  # fields or properties of each class

        @property
        def batch_shapes(self) -> int | None:
            """Most shapes of batches; None: as many as batches."""
            ...

        @property
        def bpe_dropout(self) -> float:
            """The probability that a merge of a training sentence's pieces is left out."""
            ...

        @property
        def learning_rate(self) -> float:
            """The peak of the rate."""
            ...

        @property
        def warmup_steps(self) -> int:
            """Steps of linear warm-up."""
            ...

        @property
        def schedule(self) -> str:
            """The rate after the warm-up."""
            ...

        @property
        def final_rate(self) -> float:
            """Share of the peak below which no rate falls."""
            ...

        @property
        def freeze(self) -> "tuple[Part, ...]":
            """The parts that are not trained."""
            ...

    @property
    def scored_pairs(self) -> int | None:
        """The most validation pairs that a report is scored on, except the last; None: all.

        Two systems on the same n sentences differ in BLEU with a standard error of about SCATTER / sqrt(n).
        """
        if self.valid_pairs is not None or self.valid_difference is None:
            return self.valid_pairs
        return math.ceil((SURE * SCATTER / self.valid_difference) ** 2)

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if len(set(self.freeze)) < len(self.freeze):
            raise ValueError("freeze: names a part twice")
        if {"encoder", "decoder"} <= set(self.freeze):
            raise ValueError("freeze: leaves no layer to train; drop encoder or decoder")
        return self

    @model_validator(mode="after")
    def _one_batch_rule(self) -> Self:
        if (self.batch_tokens is None) == (self.batch_sentences is None):
            raise ValueError(
                "batch_sentences: set exactly one of batch_tokens and batch_sentences, and the other to null"
            )
        return self


class TranslatorConfig(TrialConfig):
    """Everything that determines one translator.

    The class of a problem has the fields `data`, `training`, `metrics` and `seed`, and any others.
    """

    fixed: ClassVar[tuple[str, ...]] = (
        "data",
        "training.valid_pairs",
        "training.valid_difference",
        "training.valid_metrics",
        "training.freeze",
        "training.precision",
    )
    beside = ("metrics",)
    if TYPE_CHECKING:
        data: DataConfig
        training: TranslatorTraining
        metrics: Metrics

    @model_validator(mode="after")
    def _knows_its_metrics(self) -> Self:
        further = [*BUILT_IN[1:], *self.metrics]
        if unknown := [name for name in self.training.valid_metrics if name not in further]:
            raise ValueError(
                f"training.valid_metrics: {unknown[0]!r} is not in `metrics`{did_you_mean(unknown[0], further)}"
            )
        return self

    def reporting(self, metric: str) -> Self:
        """The configuration of a trial whose reports have this score, such as valid_comet."""
        name = metric.removeprefix("valid_")
        further, named = (*BUILT_IN[1:], *self.metrics), self.training.valid_metrics
        if name not in further or name in named:
            return self
        return self.with_values({"training.valid_metrics": (*named, name)})

    @property
    def compared(self) -> tuple[str, ...]:
        """See `TrialConfig.compared`: the settings of metrics that reports have."""
        return (*self.fixed, *(f"metrics.{name}" for name in self.training.valid_metrics))


def as_translator(config: TrialConfig) -> TranslatorConfig:
    """The configuration of a trial, which must be of a problem with translators."""
    assert isinstance(config, TranslatorConfig)
    return config
