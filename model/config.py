"""What shapes the network."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Config(BaseModel):
    """A frozen, self-validating value. Unknown keys are errors; a validator's message starts with its field."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ModelConfig(Config):
    """An encoder-decoder transformer, without the vocabulary sizes: those belong to the tokenizer.

    >>> ModelConfig(d_model=512, num_heads=8).head_size
    64
    """

    encoder_layers: int = Field(2, ge=1, description="layers of the encoder")
    decoder_layers: int = Field(2, ge=1, description="layers of the decoder")
    d_model: int = Field(256, ge=2, description="width of embeddings and layers")
    num_heads: int = Field(8, ge=1, description="attention heads; must divide d_model")
    ffn_dim: int = Field(1024, ge=2, description="hidden size of the feed-forward block (swiglu: two thirds of it)")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of embeddings and of each sublayer's output")
    norm: Literal["pre", "post"] = Field("pre", description="LayerNorm before each sublayer, or after it")
    activation: Literal["relu", "gelu", "swiglu"] = Field("relu", description="of the feed-forward block")
    positions: Literal["sinusoidal"] = Field("sinusoidal", description="how a token's position is encoded")
    tied_embeddings: Literal["all", "decoder", "none"] = Field(
        "all",
        description="one matrix for source, target and output (all), for target and output (decoder), or none",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.d_model % self.num_heads:
            divisors = ", ".join(str(n) for n in range(1, min(self.d_model, 64) + 1) if self.d_model % n == 0)
            raise ValueError(
                f"num_heads: {self.num_heads} does not divide d_model {self.d_model}; use one of {divisors}"
            )
        if self.d_model % 2:
            raise ValueError(
                f"d_model: {self.d_model} is odd, but sinusoidal positions pair its dimensions; use {self.d_model + 1}"
            )
        return self

    @property
    def head_size(self) -> int:
        return self.d_model // self.num_heads
