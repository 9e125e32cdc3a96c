"""A learned bias for each bucket of distances."""

import torch
from torch import Tensor, nn

from model.positions.attending import AttentionPositions, relative_positions
from model.positions.shape import Shape


class BucketBias(AttentionPositions):
    """Raffel et al. 2020, section 2.1: a learned bias for each head and bucket of distances.

    32 buckets: half of them for single distances, the others grow logarithmically up to 128; larger distances share
    one.
    The encoder gives half of the buckets to keys after the query; in the decoder there are none. All layers of a stack
    share one table. Scores are divided by sqrt(head_size) as for other kinds; T5 instead accounts for that in its
    initialisation.
    """

    def __init__(self, shape: Shape, all_buckets: int, farthest: int, causal: bool):
        super().__init__()
        self.causal, self.one_way = causal, all_buckets if causal else all_buckets // 2
        self.table = nn.Embedding(all_buckets, shape.num_heads)
        buckets, exact = self.one_way, self.one_way // 2
        growth = (farthest / exact) ** (1 / (buckets - exact))
        # The bucket of a distance is the number of limits that it reaches.
        limits = [*range(1, exact + 1), *(exact * growth**k - 1e-6 for k in range(1, buckets - exact))]
        self.register_buffer("limits", torch.tensor(limits), persistent=False)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return query, key, self.bias(relative_positions(query, key)).unsqueeze(0)

    def bias(self, relative: Tensor) -> Tensor:
        """The bias for key positions minus query positions (T, S): (H, T, S)."""
        by_head: Tensor = self.table(self._bucket(relative))  # (T, S, H)
        return by_head.permute(2, 0, 1)

    def _bucket(self, relative: Tensor) -> Tensor:
        distance = (-relative).clamp(min=0) if self.causal else relative.abs()
        bucket = torch.bucketize(distance, self.get_buffer("limits"), right=True)
        return bucket if self.causal else bucket + (relative > 0) * self.one_way
