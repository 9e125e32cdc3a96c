"""What a kind of positions has to know of a model."""

from typing import Protocol


class Shape(Protocol):
    """The part of `ModelConfig` that shapes positions."""

    @property
    def d_model(self) -> int:
        """Width of embeddings and layers."""
        ...

    @property
    def num_heads(self) -> int:
        """Attention heads."""
        ...

    @property
    def head_size(self) -> int:
        """Width of one head."""
        ...

    @property
    def max_length(self) -> int:
        """The most tokens of a sequence, for positions that end."""
        ...

    @property
    def max_distance(self) -> int:
        """The largest distance that is told from others."""
        ...
