"""The configuration of the fine-tuning of a pretrained translation model."""

import re
from typing import Literal

from pydantic import Field, field_validator

from model.config import Config
from trainables.base.data_config import DataConfig
from trainables.base.files import full_path
from trainables.base.metric_config import Metrics
from trainables.base.translator_config import METRICS_FIELD, Part, TranslatorConfig, TranslatorTraining

ON_HUB = r"[\w.-]+(/[\w.-]+)?"
COMMIT = r"[0-9a-f]{40}"


class PretrainedConfig(Config):
    """The model that training starts from, and how text is given to it."""

    model: str = Field(
        "Helsinki-NLP/opus-mt-en-fr",
        min_length=1,
        description="a folder of `from_pretrained` with an encoder-decoder and its tokenizer, or a model of the "
        "Hugging Face Hub by name",
    )
    revision: str | None = Field(
        None, pattern=f"^{COMMIT}$", description="the commit of a model of the Hub, which then stays as it is"
    )
    source: str | None = Field(
        None, min_length=1, description="the model's code of the source language, such as eng_Latn of NLLB"
    )
    target: str | None = Field(
        None, min_length=1, description="the model's code of the target language, such as fra_Latn of NLLB"
    )
    prefix: str = Field("", description="words before each source sentence, as T5 needs them")

    @field_validator("model")
    @classmethod
    def _absolute(cls, model: str) -> str:
        """A folder by its whole path, as workers run in other folders."""
        path = full_path(model)
        return str(path) if path.is_dir() or not re.fullmatch(ON_HUB, model) else model

    @property
    def on_hub(self) -> bool:
        """Whether the model is fetched by its name."""
        return re.fullmatch(ON_HUB, self.model) is not None


class LoraConfig(Config):
    """Low-rank adapters: Hu et al. 2021. The matrices of the model stay as they are."""

    rank: int = Field(16, ge=1, le=1024, description="of each adapter")
    alpha_per_rank: float = Field(2.0, gt=0, le=64, description="the scale of adapters: alpha divided by rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the inputs of adapters")
    targets: Literal["query-value", "attention", "all-linear"] = Field(
        "attention", description="which matrices get an adapter; all-linear: those of attention and feed-forward layers"
    )


class FineTuningConfig(TranslatorTraining):
    """The recipe of fine-tuning, by AdamW (Loshchilov and Hutter 2019)."""

    epochs: float = Field(
        3,
        gt=0,
        description="passes over the training text; a fraction, such as 0.25, with report_steps or report_tokens",
    )
    batch_tokens: int | None = Field(
        4096,
        ge=1,
        description="most tokens per optimizer step: pairs times (longest source + longest target), by the model's "
        "tokenizer",
    )
    forward_tokens: int = Field(
        2048,
        ge=1,
        description="most tokens of a forward pass; a larger batch is divided, and its gradients are added up. It "
        "decides memory, and changes numbers by rounding alone",
    )
    learning_rate: float = Field(3e-4, gt=0, description="AdamW's peak learning rate")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up")
    schedule: Literal["linear", "cosine", "inverse_sqrt", "constant"] = Field(
        "linear", description="the learning rate after the warm-up"
    )
    final_rate: float = Field(
        0.0, ge=0, le=1, description="share of the peak at which cosine and linear end, and below which no rate falls"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="mass spread over the whole vocabulary")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, of matrices")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient")
    dropout: float | None = Field(None, ge=0, lt=1, description="of the model; null: as it was trained")
    freeze: tuple[Part, ...] = Field((), description="parts that are not trained: encoder, decoder, embeddings")

    @property
    def batch_shapes(self) -> None:
        """Batches have as many shapes as they need."""

    @property
    def bpe_dropout(self) -> float:
        """Sentences always have the same pieces."""
        return 0.0


class FineTunedConfig(TranslatorConfig):
    """Everything that determines one fine-tuned model; on a CPU it gives the same numbers again."""

    data: DataConfig = DataConfig()
    pretrained: PretrainedConfig = PretrainedConfig()
    tuning: Literal["lora", "full"] = Field("lora", description="what is trained: adapters, or all weights")
    lora: LoraConfig = LoraConfig()
    training: FineTuningConfig = FineTuningConfig()
    metrics: Metrics = Field(Metrics({}), description=METRICS_FIELD)
    seed: int = Field(1, ge=0, lt=2**31, description="seed of adapters, batch order and dropout")

    @property
    def unused(self) -> frozenset[str]:
        """Dotted paths of fields that have no effect with the values of the others."""
        return frozenset() if self.tuning == "lora" else frozenset(f"lora.{key}" for key in LoraConfig.model_fields)


def as_fine_tuned(config: object) -> FineTunedConfig:
    """The configuration of a trial, which must be of this problem."""
    assert isinstance(config, FineTunedConfig)
    return config
