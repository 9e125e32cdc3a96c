"""What a kind of positions has to know of a model."""

from typing import Protocol


class Shape(Protocol):
    """The part of `ModelConfig` that shapes positions."""

    @property
    def d_model(self) -> int: ...

    @property
    def num_heads(self) -> int: ...

    @property
    def head_size(self) -> int: ...

    @property
    def max_length(self) -> int: ...

    @property
    def max_distance(self) -> int: ...
