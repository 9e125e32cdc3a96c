"""The configuration of the network."""

import math
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.positions.kinds import DESCRIBED, KINDS, PositionKind, PositionName


class Config(BaseModel):
    """A frozen, self-validating value. Unknown keys are errors; a validator's message starts with its field."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ModelConfig(Config):
    """An encoder-decoder transformer, without the vocabulary sizes: those belong to the tokenizer.

    >>> ModelConfig(d_model=512, num_heads=8).head_size
    64
    """

    encoder_layers: int = Field(2, ge=1, description="layers of the encoder")
    decoder_layers: int = Field(2, ge=1, description="layers of the decoder")
    d_model: int = Field(256, ge=2, description="width of embeddings and layers")
    num_heads: int = Field(8, ge=1, description="attention heads; must divide d_model")
    num_kv_heads: int | None = Field(
        None,
        ge=1,
        description="heads of keys and values, each shared by a group; must divide num_heads; null: num_heads",
    )
    ffn_dim: int = Field(
        1024, ge=2, description="hidden size of the feed-forward block (swiglu, geglu: two thirds of it)"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of embeddings and of each sublayer's output")
    attention_dropout: float = Field(0.0, ge=0, lt=1, description="dropout of attention weights")
    activation_dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the feed-forward block")
    layer_drop: float = Field(
        0.0, ge=0, lt=1, description="probability that a layer is left out of a training step (Fan et al. 2020)"
    )
    norm: Literal["pre", "post", "deep"] = Field(
        "pre", description="norm before each sublayer, after it, or after it with DeepNorm's scales"
    )
    norm_type: Literal["layer", "rms"] = Field("layer", description="LayerNorm or RMSNorm")
    activation: Literal["relu", "gelu", "swiglu", "geglu"] = Field(
        "relu", description="activation of the feed-forward block"
    )
    positions: PositionName = Field(
        "sinusoidal", description=f"how a token's position reaches the network. {DESCRIBED}"
    )
    max_length: int = Field(512, ge=1, description="learned positions: the most tokens of a sequence")
    max_distance: int = Field(16, ge=1, description="relative positions: larger distances count as this one")
    tied_embeddings: Literal["all", "decoder", "none"] = Field(
        "all",
        description="one matrix for source, target and output (all), for target and output (decoder), or none",
    )
    init_from: str | None = Field(
        None,
        min_length=1,
        description="best/ of a run, or the folder of one training (`train RUN --trial N`), whose weights training "
        "starts from, with its tokenizer; the architecture must be the same; null: random weights",
    )

    base_width: int | None = Field(
        None,
        ge=1,
        description="the d_model for which learning rates are right: at another width they are scaled, and so is the "
        "output (muP); null: not",
    )

    @model_validator(mode="after")
    def _dimensions_fit(self) -> Self:
        if self.d_model % self.num_heads:
            divisors = ", ".join(str(n) for n in range(1, min(self.d_model, 64) + 1) if self.d_model % n == 0)
            raise ValueError(
                f"num_heads: {self.num_heads} does not divide d_model {self.d_model}; use one of {divisors}"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_kv_heads: {self.num_kv_heads} does not divide num_heads {self.num_heads}")
        self.position_kind.check(self)
        return self

    @property
    def position_kind(self) -> PositionKind:
        """The entry of the kind of positions in the table."""
        return KINDS[self.positions]

    @property
    def longest(self) -> int | None:
        """The most tokens of a sequence; None if positions have no limit."""
        limit = self.position_kind.limit
        return None if limit is None else int(getattr(self, limit))

    @property
    def unused(self) -> frozenset[str]:
        """Fields that have no effect with the values of the others."""
        return frozenset(key for kind in KINDS.values() for key in kind.settings) - {*self.position_kind.settings}

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.num_heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values: 1 is multi-query (Shazeer 2019), more is grouped-query (Ainslie et al. 2023)."""
        return self.num_kv_heads or self.num_heads

    @property
    def kv_dim(self) -> int:
        """Width of all keys, or all values, of a token."""
        return self.kv_heads * self.head_size

    @property
    def gated(self) -> bool:
        """Whether the feed-forward block multiplies two expansions."""
        return self.activation in ("swiglu", "geglu")

    @property
    def hidden_dim(self) -> int:
        """Width inside the feed-forward block: two thirds of ffn_dim if gated, so that parameters compare."""
        return self.ffn_dim * 2 // 3 if self.gated else self.ffn_dim

    @property
    def stackable(self) -> bool:
        """Whether several such models can be computed as one (model/stacking.py).

        Positions must have no weights, and attention no dropout, as its kernel can't draw masks for each of several
        models. No layer may be left out, as it would be left out of all.
        """
        kind, apart = self.position_kind, self.attention_dropout or self.layer_drop
        return not (kind.layer_parameters(self) or kind.shared_parameters(self) or apart)

    @property
    def output_scale(self) -> float:
        """What hidden states are multiplied by before the output layer; see `base_width`."""
        return 1.0 if self.base_width is None else math.sqrt(self.base_width / self.d_model)

    @property
    def deepnorm(self) -> "DeepNorm":
        """The scales for this depth: N encoder and M decoder layers (Wang et al. 2022, table 1)."""
        n, m = self.encoder_layers, self.decoder_layers
        depth = (n**4 * m) ** (1 / 16)
        return DeepNorm(0.81 * depth, 0.87 / depth, (3 * m) ** (1 / 4), (12 * m) ** (-1 / 4))


class DeepNorm(NamedTuple):
    """Scales of the residual (alpha) and of the initial weights of values, outputs and feed-forward (beta)."""

    encoder_alpha: float
    encoder_beta: float
    decoder_alpha: float
    decoder_beta: float
