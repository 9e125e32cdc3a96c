"""The properties of a model that kinds of positions need."""

from typing import Protocol


class Shape(Protocol):
    """The part of `ModelConfig` on which positions depend."""

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
        """The most tokens of a sequence, for positions with a limit."""
        ...

    @property
    def max_distance(self) -> int:
        """The largest distance that is distinguished from others."""
        ...
