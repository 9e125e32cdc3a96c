"""How a token's position reaches the network.

Absolute kinds (`sinusoidal`, `learned`) are added to the embeddings; self-attention is then blind to positions.
The others live in self-attention: each is a module that says what the scores of queries and keys are, and attends.
Query i is at position i of its sequence; with cached keys, the queries are the last of the key positions.
"""

import math

import torch
from torch import Tensor, nn

from model.attend import attend, attention_weights
from model.config import T5_BUCKETS, ModelConfig
from model.dropout import dropout as drop

ABSOLUTE = ("sinusoidal", "learned")


def sinusoids(position: Tensor, width: int) -> Tensor:
    """The fixed encoding of positions (T,): (T, width).

    PE(pos, 2i) = sin(pos / 10000^(2i/width)), PE(pos, 2i+1) = cos(the same); Vaswani et al. 2017, section 3.5.
    """
    angle = _angles(position, width)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def _angles(position: Tensor, width: int) -> Tensor:
    """pos / 10000^(2i/width): (T, width / 2)."""
    even = torch.arange(0, width, 2, device=position.device, dtype=torch.float32)
    return position.float().unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))


class AbsolutePositions(nn.Module):
    """What is added to the embeddings: sinusoids, a learned vector a position, or nothing."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.kind, self.width = config.positions, config.d_model
        self.table = nn.Embedding(config.max_length, config.d_model) if config.positions == "learned" else None

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x: (B, T, d_model), at positions start .. start+T-1 -> like x. Raises ValueError beyond a learned table."""
        if self.kind not in ABSOLUTE:
            return x
        position = torch.arange(start, start + x.shape[1], device=x.device)
        if self.table is None:
            return x + sinusoids(position, self.width)
        if start + x.shape[1] > self.table.num_embeddings:
            raise ValueError(
                f"model.positions: learned positions end at {self.table.num_embeddings} (model.max_length), but a "
                f"sequence has {start + x.shape[1]} tokens; raise model.max_length, or use another kind"
            )
        return x + self.table(position)


def relative_positions(query: Tensor, key: Tensor) -> Tensor:
    """Key position minus query position: (T, S)."""
    queries, keys = query.shape[2], key.shape[2]
    position = torch.arange(keys, device=query.device)
    return position - position[keys - queries :].unsqueeze(1)


class AttentionPositions(nn.Module):
    """A kind of positions in self-attention. Each kind says once what its scores are; the rest follows from that."""

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """query, key and bias, for scores query keyᵀ / sqrt(head_size) + bias; shapes as in `attend`."""
        raise NotImplementedError

    def weights(self, query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """How much each query takes from each key, before dropout: (B, H, T, S), rows that sum to 1."""
        query, key, bias = self.score_terms(query, key)
        return attention_weights(query, key, mask, causal, bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
    ) -> Tensor:
        """What `attend` gives with these scores: (B, H, T, head_size)."""
        query, key, bias = self.score_terms(query, key)
        return attend(query, key, value, mask, causal, dropout, bias)


class NoPositions(AttentionPositions):
    """Attention that is blind to positions (Vaswani et al. 2017, section 3.2.1)."""

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return query, key, None


class Rotary(AttentionPositions):
    """Su et al. 2021 (RoFormer): queries and keys are rotated by their position, dimensions 2i and 2i+1 by pos·θ_i.

    θ_i = 10000^(-2i/head_size); so a product of a query and a key depends on their distance alone.
    """

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        position = torch.arange(key.shape[2], device=key.device)
        angle = _angles(position, key.shape[3])
        cos, sin = angle.cos().to(key.dtype), angle.sin().to(key.dtype)
        first = key.shape[2] - query.shape[2]
        return self._rotate(query, cos[first:], sin[first:]), self._rotate(key, cos, sin), None

    @staticmethod
    def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3)


class Alibi(AttentionPositions):
    """Press et al. 2022: the bias -m_h · |i - j|, with fixed slopes m_h, 2^(-8h/H) for h = 1 .. H.

    In the decoder j ≤ i; in the encoder the symmetric form. For a number of heads that is no power of two, the
    slopes of the next smaller power come first, then every other one of twice that power, as in the paper's code.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.register_buffer("slopes", torch.tensor(_slopes(config.num_heads)), persistent=False)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        slopes = self.get_buffer("slopes").view(1, -1, 1, 1)
        return query, key, -slopes * relative_positions(query, key).abs()


def _slopes(heads: int) -> list[float]:
    power = 2 ** int(math.log2(heads))
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    return slopes + [2.0 ** (-8 * h / (2 * power)) for h in range(1, 2 * (heads - power), 2)]


class T5Bias(AttentionPositions):
    """Raffel et al. 2020, section 2.1: a learned bias for each head and bucket of distances.

    32 buckets: half of them for single distances, the others grow logarithmically up to 128, beyond which all is one.
    The encoder gives half of the buckets to keys after the query; in the decoder there are none. One table serves
    all layers of a stack. Scores are divided by sqrt(head_size) as everywhere here, which T5 leaves to its
    initialisation.
    """

    BUCKETS, FARTHEST = T5_BUCKETS, 128

    def __init__(self, config: ModelConfig, causal: bool):
        super().__init__()
        self.causal = causal
        self.table = nn.Embedding(self.BUCKETS, config.num_heads)
        buckets = self.BUCKETS if causal else self.BUCKETS // 2  # of one direction
        exact = buckets // 2
        growth = (self.FARTHEST / exact) ** (1 / (buckets - exact))
        # A distance is in the bucket that is the number of limits it reaches.
        limits = [*range(1, exact + 1), *(exact * growth**k - 1e-6 for k in range(1, buckets - exact))]
        self.register_buffer("limits", torch.tensor(limits), persistent=False)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        bias = self.table(self._bucket(relative_positions(query, key)))  # (T, S, H)
        return query, key, bias.permute(2, 0, 1).unsqueeze(0)

    def _bucket(self, relative: Tensor) -> Tensor:
        distance = (-relative).clamp(min=0) if self.causal else relative.abs()
        bucket = torch.bucketize(distance, self.get_buffer("limits"), right=True)
        return bucket if self.causal else bucket + (relative > 0) * (self.BUCKETS // 2)


class TransformerXL(AttentionPositions):
    """Dai et al. 2019, section 3.3: scores (q_i + u)·k_j + (q_i + v)·(W R_{i-j}), over sqrt(head_size).

    R is the sinusoid of the distance i - j, W a matrix of this layer, u and v a vector each a head.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.num_heads, self.width = config.num_heads, config.d_model
        self.distance = nn.Linear(config.d_model, config.d_model, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(config.d_model))  # u of all heads
        self.position_bias = nn.Parameter(torch.zeros(config.d_model))  # v

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        u, v = (bias.view(self.num_heads, 1, -1) for bias in (self.content_bias, self.position_bias))
        first = 1 - key.shape[2]  # j - i of the last query and the first key; up to that of the first query
        distances = -torch.arange(first, query.shape[2], device=query.device)
        encoded = self.distance(sinusoids(distances, self.width).to(query.dtype))
        encoded = encoded.view(len(distances), self.num_heads, -1).transpose(0, 1)  # (H, distances, head_size)
        by_distance = (query + v) @ encoded.transpose(1, 2)  # (B, H, T, distances)
        bias = _pick(by_distance, relative_positions(query, key) - first) / math.sqrt(query.shape[3])
        return query + u, key, bias


class Relative(AttentionPositions):
    """Shaw et al. 2018: vectors a^K and a^V of the clipped distance join keys and values; one table a layer.

    score_ij = q_i·(k_j + a^K_{j-i}) / sqrt(head_size); output_i = Σ_j softmax(score)_ij (v_j + a^V_{j-i}). Distances
    beyond `max_distance` count as that. The weights themselves are needed, so no fused kernel serves.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.max_distance = config.max_distance
        self.keys = nn.Embedding(2 * config.max_distance + 1, config.head_size)
        self.values = nn.Embedding(2 * config.max_distance + 1, config.head_size)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        by_distance = query @ self.keys.weight.T  # (B, H, T, distances)
        return query, key, _pick(by_distance, self._clipped(query, key)) / math.sqrt(query.shape[3])

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
    ) -> Tensor:
        weights = drop(self.weights(query, key, mask, causal), dropout)  # autocast: in single precision
        by_distance = weights.new_zeros(*weights.shape[:3], self.values.num_embeddings).scatter_add(
            3, self._clipped(query, key).expand_as(weights), weights
        )
        return weights.to(value.dtype) @ value + by_distance.to(value.dtype) @ self.values.weight

    def _clipped(self, query: Tensor, key: Tensor) -> Tensor:
        """Distances as rows of the tables: (T, S)."""
        return relative_positions(query, key).clamp(-self.max_distance, self.max_distance) + self.max_distance


def _pick(by_distance: Tensor, index: Tensor) -> Tensor:
    """(B, H, T, distances) and (T, S) -> (B, H, T, S)."""
    # In single precision, as its gradient adds up many terms of like distance.
    return by_distance.float().gather(3, index.expand(*by_distance.shape[:2], -1, -1))


def attention_positions(config: ModelConfig, layers: int, causal: bool) -> list[AttentionPositions]:
    """The module that attends in each layer of a stack, the encoder or the (causal) decoder."""
    match config.positions:
        case "rotary":
            return [Rotary() for _ in range(layers)]
        case "alibi":
            return [Alibi(config) for _ in range(layers)]
        case "t5":
            return [T5Bias(config, causal)] * layers
        case "transformer_xl":
            return [TransformerXL(config) for _ in range(layers)]
        case "relative":
            return [Relative(config) for _ in range(layers)]
        case _:
            return [NoPositions() for _ in range(layers)]
