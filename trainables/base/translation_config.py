"""The configuration of the training of one translation model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from model.config import Config, ModelConfig
from model.counting import count_parameters
from trainables.base.config import TrainingConfig, TrialConfig
from trainables.base.data_config import DataConfig
from trainables.base.errors import did_you_mean
from trainables.base.metric_config import BUILT_IN, Metrics


class TokenizerConfig(Config):
    """sentencepiece models, trained on the training text alone."""

    kind: Literal["bpe", "unigram"] = Field("bpe", description="sentencepiece algorithm")
    vocab_size: int = Field(
        8000, ge=8, le=1_000_000, description="pieces, special ones included; of each side if not shared"
    )
    shared: bool = Field(True, description="one vocabulary for both languages")
    normalization: Literal["identity", "nfc", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "identity",
        description="what is done to text first: nothing, canonical composition (nfc), or sentencepiece's compatible "
        "forms, which models then write where references have others; _cf folds case, too",
    )
    character_coverage: float = Field(
        1.0, ge=0.98, le=1, description="share of the characters of the text that get a piece; the rarest get none"
    )
    sample_lines: int | None = Field(
        200_000,
        ge=1,
        description="train the tokenizer on so many lines of the training text at most, both sides together if it is "
        "shared, from all over the text; null: on all",
    )
    byte_fallback: bool = Field(
        False, description="write a character without a piece as its bytes, for 256 pieces of the vocabulary"
    )


class TranslationTraining(TrainingConfig):
    """The optimisation recipe."""

    epochs: float = Field(
        5,
        gt=0,
        description="passes over the training text; a fraction, such as 0.25, with report_steps or report_tokens",
    )
    valid_pairs: int | None = Field(
        None,
        ge=1,
        description="score reports except the last on at most this many validation pairs, always the same; null: all",
    )
    valid_metrics: tuple[str, ...] = Field(
        (),
        description="further scores of each report's translations, beside BLEU: chrf, ter, or names of `metrics`; "
        "that of search.metric is added",
    )
    batch_tokens: int | None = Field(
        1024,
        ge=1,
        description="most tokens per batch: pairs times (longest source + longest target)",
    )
    batch_sentences: int | None = Field(None, ge=1, description="or: sentence pairs per batch (batch_tokens: null)")
    batch_shapes: int | None = Field(
        None,
        ge=1,
        description="most shapes of batches, with more padding: a GPU then runs each step as one CUDA "
        "graph, and finalists' seeds can train together; null: as many shapes as batches, with little padding",
    )
    learning_rate: float = Field(0.002, gt=0, description="Adam's peak learning rate")
    warmup_steps: int = Field(300, ge=0, description="steps of linear warm-up")
    schedule: Literal["cosine", "inverse_sqrt", "constant"] = Field(
        "cosine", description="the learning rate after the warm-up"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="mass spread over the whole vocabulary")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")

    @model_validator(mode="after")
    def _one_batch_rule(self) -> Self:
        if (self.batch_tokens is None) == (self.batch_sentences is None):
            raise ValueError(
                "batch_sentences: set exactly one of batch_tokens and batch_sentences, and the other to null"
            )
        return self


class TranslationConfig(TrialConfig):
    """Everything that determines one run; on one machine it gives the same numbers, on a GPU up to rounding."""

    fixed = ("data", "training.valid_pairs", "training.valid_metrics")
    beside = ("metrics",)

    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    training: TranslationTraining = TranslationTraining()
    metrics: Metrics = Field(
        Metrics({}),
        description="further metrics of translations by name, such as {comet: {model: Unbabel/wmt22-comet-da}}; in "
        "reports valid_NAME, in the ranking test_NAME",
    )
    seed: int = Field(1, ge=0, lt=2**31, description="seed of initialisation, batch order and dropout")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.tied_embeddings == "all" and not self.tokenizer.shared:
            raise ValueError(
                "model.tied_embeddings: 'all' needs one vocabulary, but tokenizer.shared is false; "
                "use 'decoder' or 'none', or share the tokenizer"
            )
        longest = self.model.longest
        if longest is not None and self.data.max_tokens > longest:
            raise ValueError(
                f"model.{self.model.position_kind.limit}: {self.model.positions} positions end at {longest}, before "
                f"data.max_tokens {self.data.max_tokens}; raise the one or lower the other"
            )
        return self

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

    @property
    def unused(self) -> frozenset[str]:
        """Dotted paths of fields that have no effect with the values of the others."""
        return frozenset(f"model.{key}" for key in self.model.unused)

    @property
    def num_parameters(self) -> int:
        """The parameters of the model, counted without building it."""
        return count_parameters(self.model, self.tokenizer.vocab_size, self.tokenizer.vocab_size)


def as_translation(config: TrialConfig) -> TranslationConfig:
    """The configuration of a trial, which must be of this problem."""
    assert isinstance(config, TranslationConfig)
    return config
