"""The configuration of the training of one translation model."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from model.config import Config, ModelConfig
from model.counting import count_parameters
from trainables.base.config import TrialConfig
from trainables.base.data_config import DataConfig
from trainables.base.files import full_path
from trainables.base.metric_config import Metrics
from trainables.base.translator_config import METRICS_FIELD, Part, TranslatorConfig, TranslatorTraining


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
    taken_from: str | None = Field(
        None,
        min_length=1,
        description="best/ of a run, whose tokenizer is used as it is; null: that of model.init_from, or a new one",
    )

    @field_validator("taken_from")
    @classmethod
    def _absolute(cls, folder: str | None) -> str | None:
        """By the whole path, as workers run in other folders."""
        return None if folder is None else str(full_path(folder))


class TranslationTraining(TranslatorTraining):
    """The optimisation recipe."""

    batch_shapes: int | None = Field(
        None,
        ge=1,
        description="most shapes of batches, with more padding: a GPU then runs each step as one CUDA "
        "graph, and finalists' seeds can train together; null: as many shapes as batches, with little padding",
    )
    forward_tokens: int | None = Field(
        None,
        ge=1,
        description="most tokens of a forward pass; a larger batch is divided, and its gradients are added up. It "
        "decides memory, and changes numbers only by rounding and the masks of dropout; null: the batch",
    )
    learning_rate: float = Field(0.002, gt=0, description="Adam's peak learning rate")
    warmup_steps: int = Field(300, ge=0, description="steps of linear warm-up")
    schedule: Literal["cosine", "linear", "inverse_sqrt", "constant"] = Field(
        "cosine", description="the learning rate after the warm-up"
    )
    final_rate: float = Field(
        0.0, ge=0, le=1, description="share of the peak at which cosine and linear end, and below which no rate falls"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the mean of gradients")
    beta2: float = Field(0.98, ge=0, lt=1, description="Adam's decay of the mean of their squares")
    epsilon: float = Field(1e-8, gt=0, description="Adam's term against division by zero")
    weight_decay: float = Field(
        0.0, ge=0, description="AdamW's decay of matrices, times the learning rate; not of biases and norms"
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="validate and keep an exponential moving average of the weights with this decay, such as 0.999; 0: "
        "the weights",
    )
    bpe_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that a merge of BPE is left out, each time that a sentence is trained on; such as 0.1",
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="mass spread over the whole vocabulary")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    freeze: tuple[Part, ...] = Field(
        (), description="parts that are not trained: encoder, decoder, embeddings (with positions)"
    )

    @model_validator(mode="after")
    def _shapes_stay(self) -> Self:
        if self.batch_shapes is None:
            return self
        if self.forward_tokens is not None:
            raise ValueError(
                f"forward_tokens: {self.forward_tokens}: a batch of batch_shapes is one forward pass; set one to null"
            )
        if self.bpe_dropout:
            raise ValueError(
                f"bpe_dropout: {self.bpe_dropout}: sentences change their lengths, and batch_shapes fixes them; set "
                "bpe_dropout to 0, or batch_shapes to null"
            )
        return self


class TranslationConfig(TranslatorConfig):
    """Everything that determines one run; on one machine it gives the same numbers, on a GPU up to rounding."""

    fixed = (*TranslatorConfig.fixed, "model.init_from", "tokenizer.taken_from")
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    training: TranslationTraining = TranslationTraining()
    metrics: Metrics = Field(Metrics({}), description=METRICS_FIELD)
    seed: int = Field(1, ge=0, lt=2**31, description="seed of initialisation, batch order and dropout")

    @model_validator(mode="before")
    @classmethod
    def _with_the_tokenizer_of_its_weights(cls, value: Any) -> Any:
        """Let model.init_from name the tokenizer, too; both by whole paths, as workers run in other folders."""
        if not isinstance(value, dict):
            return value
        model, tokenizer = value.get("model"), value.get("tokenizer") or {}
        if isinstance(model, dict) and isinstance(tokenizer, dict) and isinstance(model.get("init_from"), str):
            model = {**model, "init_from": str(full_path(model["init_from"]))}
            taken = tokenizer.get("taken_from") or model["init_from"]
            value = {**value, "model": model, "tokenizer": {**tokenizer, "taken_from": taken}}
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.init_from is not None and self.tokenizer.taken_from != self.model.init_from:
            raise ValueError("tokenizer.taken_from: weights and tokenizer belong together; drop it, or model.init_from")
        if self.model.tied_embeddings == "all" and not self.tokenizer.shared:
            raise ValueError(
                "model.tied_embeddings: 'all' needs one vocabulary, but tokenizer.shared is false; "
                "use 'decoder' or 'none', or share the tokenizer"
            )
        if self.training.bpe_dropout and self.tokenizer.kind != "bpe":
            raise ValueError(
                f"training.bpe_dropout: {self.training.bpe_dropout} leaves out merges of BPE, but tokenizer.kind is "
                f"{self.tokenizer.kind}; use bpe, or 0"
            )
        longest = self.model.longest
        if longest is not None and self.data.max_tokens > longest:
            raise ValueError(
                f"model.{self.model.position_kind.limit}: {self.model.positions} positions end at {longest}, before "
                f"data.max_tokens {self.data.max_tokens}; raise the one or lower the other"
            )
        return self

    @property
    def unused(self) -> frozenset[str]:
        """Dotted paths of fields that have no effect with the values of the others."""
        return frozenset(f"model.{key}" for key in self.model.unused)

    @property
    def captured(self) -> bool:
        """Whether a GPU computes its steps as CUDA graphs, which can't leave out layers."""
        return self.training.batch_shapes is not None and not self.model.layer_drop

    @property
    def num_parameters(self) -> int:
        """The parameters of the model, counted without building it."""
        return count_parameters(self.model, self.tokenizer.vocab_size, self.tokenizer.vocab_size)


def as_translation(config: TrialConfig) -> TranslationConfig:
    """The configuration of a trial, which must be of this problem."""
    assert isinstance(config, TranslationConfig)
    return config
