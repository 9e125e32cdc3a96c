"""The kinds of positions as a table: what configuration, counting, stacking and decoding ask of each.

Nothing here imports torch before a model is built. A new kind is a class here, a line in KINDS, and a module beside
this one.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from model.positions.shape import Shape

if TYPE_CHECKING:
    from torch import nn

    from model.positions.attending import AttentionPositions


class PositionKind:
    """One kind; its defaults are those of attention that is blind to positions."""

    settings: ClassVar[tuple[str, ...]] = ()  # keys of the model that only this kind uses
    limit: ClassVar[str | None] = None  # the one of them that limits the tokens of a sequence

    def check(self, shape: Shape) -> None:
        """Raises ValueError for a shape that it does not fit; the message begins with the key at fault."""

    def layer_parameters(self, shape: Shape) -> int:
        """The parameters in each self-attention."""
        return 0

    def shared_parameters(self, shape: Shape) -> int:
        """The parameters outside the layers, or shared by them, of encoder and decoder together."""
        return 0

    def layer_flops(self, shape: Shape, tokens: int) -> int:
        """Operations of its matrix products in one self-attention over that many tokens, besides those of `attend`."""
        return 0

    def added(self, shape: Shape) -> "nn.Module":
        """The module that adds positions to embeddings (B, T, d_model), given the position of the first."""
        from model.positions.absolute import Unchanged

        return Unchanged()

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        """The module that computes attention, for each layer of the encoder or the (causal) decoder."""
        from model.positions.attending import NoPositions

        return [NoPositions() for _ in range(layers)]


class Sinusoidal(PositionKind):
    """Fixed sinusoids, added to the embeddings."""

    def check(self, shape: Shape) -> None:
        _check_even_width(shape, "sinusoidal")

    def added(self, shape: Shape) -> "nn.Module":
        from model.positions.absolute import AddedSinusoids

        return AddedSinusoids(shape)


class Learned(PositionKind):
    """A learned vector per position, added to the embeddings."""

    settings = ("max_length",)
    limit = "max_length"

    def shared_parameters(self, shape: Shape) -> int:
        return 2 * shape.max_length * shape.d_model

    def added(self, shape: Shape) -> "nn.Module":
        from model.positions.absolute import LearnedTable

        return LearnedTable(shape)


class Relative(PositionKind):
    """A learned vector per distance, added to keys and values (Shaw et al. 2018)."""

    settings = ("max_distance",)

    def layer_parameters(self, shape: Shape) -> int:
        return 2 * (2 * shape.max_distance + 1) * shape.head_size

    def layer_flops(self, shape: Shape, tokens: int) -> int:
        return 2 * 2 * tokens * (2 * shape.max_distance + 1) * shape.d_model

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        from model.positions.relative import RelativeVectors

        return [RelativeVectors(shape) for _ in range(layers)]


class TransformerXL(PositionKind):
    """The sinusoid of the distance enters the scores (Dai et al. 2019)."""

    def check(self, shape: Shape) -> None:
        _check_even_width(shape, "transformer_xl")

    def layer_parameters(self, shape: Shape) -> int:
        return shape.d_model * shape.d_model + 2 * shape.d_model

    def layer_flops(self, shape: Shape, tokens: int) -> int:
        distances = 2 * tokens - 1
        return distances * 2 * shape.d_model * shape.d_model + 2 * tokens * distances * shape.d_model

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        from model.positions.transformer_xl import RelativeSinusoids

        return [RelativeSinusoids(shape) for _ in range(layers)]


class T5(PositionKind):
    """A learned bias per head for each of 32 buckets of distances (Raffel et al. 2020)."""

    BUCKETS, FARTHEST = 32, 128

    def shared_parameters(self, shape: Shape) -> int:
        return 2 * self.BUCKETS * shape.num_heads

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        from model.positions.t5 import BucketBias

        return [BucketBias(shape, self.BUCKETS, self.FARTHEST, causal)] * layers


class Rotary(PositionKind):
    """Queries and keys are rotated by their position (Su et al. 2021)."""

    def check(self, shape: Shape) -> None:
        if shape.head_size % 2:
            raise ValueError(
                f"num_heads: {shape.num_heads} heads of d_model {shape.d_model} have {shape.head_size} dimensions "
                "each, but rotary positions pair them; use heads of an even size"
            )

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        from model.positions.rotary import Rotation

        return [Rotation() for _ in range(layers)]


class Alibi(PositionKind):
    """A fixed bias that grows with the distance (Press et al. 2022)."""

    def attending(self, shape: Shape, layers: int, causal: bool) -> "list[AttentionPositions]":
        from model.positions.alibi import LinearBias

        return [LinearBias(shape) for _ in range(layers)]


class Blind(PositionKind):
    """None: attention does not see the order of tokens."""


def _check_even_width(shape: Shape, kind: str) -> None:
    if shape.d_model % 2:
        raise ValueError(
            f"d_model: {shape.d_model} is odd, but {kind} positions pair its dimensions; "
            f"use {shape.d_model + shape.num_heads}"
        )


KINDS: dict[str, PositionKind] = {
    "sinusoidal": Sinusoidal(),
    "learned": Learned(),
    "relative": Relative(),
    "transformer_xl": TransformerXL(),
    "t5": T5(),
    "rotary": Rotary(),
    "alibi": Alibi(),
    "none": Blind(),
}
DESCRIBED = "; ".join(f"{name}: {(type(kind).__doc__ or '').rstrip('.')}" for name, kind in KINDS.items())
if TYPE_CHECKING:
    PositionName = str
else:
    PositionName = Literal[tuple(KINDS)]
