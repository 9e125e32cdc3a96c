"""Pairs of the training text that serve for validation and test: chosen by the text and a seed, in one pass."""

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.lines import is_blank

SPARE = 2  # times as many sentences as are wanted are kept, as one that occurs often may not fit in


class Chosen(NamedTuple):
    """The hashes of the source sentences of each split that is taken out."""

    split_of: dict[int, str]
    hash_of: Callable[[str], int]

    def is_in(self, split: str, train: str, source: str, target: str) -> bool:
        """Whether a pair belongs to a split; one with a blank side can't be scored, so it stays in train."""
        where = self.split_of.get(self.hash_of(source))
        return (train if where is None or _has_blank(source, target) else where) == split


def choose_pairs(pairs: Iterable[tuple[str, str]], config: DataConfig) -> Chosen:
    """Whole groups of equal source sentences, so that no sentence stands in two splits.

    They are those with the smallest hashes, as many as `data.split` says or, where no group fits in, a few less. What
    is kept in memory depends on that number alone, not on the text.

    Raises:
        UserError: For a text of too few pairs.
    """
    hash_of = _hashing(config.split.seed)
    wanted = sum(config.held_out.values())
    groups: dict[int, int] = {}  # pairs by the hash of their source, the smallest hashes alone
    most, limit, total = SPARE * wanted + 100, 1 << 64, 0
    for source, target in pairs:
        if _has_blank(source, target):
            continue
        total += 1
        if (key := hash_of(source)) < limit:
            groups[key] = groups.get(key, 0) + 1
            if len(groups) > 2 * most:
                kept = sorted(groups)[:most]
                limit = kept[-1] + 1
                groups = {key: groups[key] for key in kept}
    if total <= wanted:
        raise UserError(
            f"data.split: {wanted:,} pairs are to be taken out of {total:,} of {config.path}; take fewer, or none of "
            "them would be trained on"
        )
    return Chosen(_fill(groups, config.held_out), hash_of)


def _fill(groups: dict[int, int], sizes: dict[str, int]) -> dict[int, str]:
    """Which split each group goes to, in the order of their hashes."""
    free, split_of = dict(sizes), dict[int, str]()
    for key in sorted(groups):
        for split, room in free.items():
            if groups[key] <= room:
                split_of[key] = split
                free[split] -= groups[key]
                break
    return split_of


def _hashing(seed: int) -> Callable[[str], int]:
    key = seed.to_bytes(4, "big")
    start = hashlib.blake2b(key=key, digest_size=8)

    def hash_of(sentence: str) -> int:
        state = start.copy()
        state.update(sentence.encode())
        return int.from_bytes(state.digest(), "big")

    return hash_of


def _has_blank(source: str, target: str) -> bool:
    return is_blank(source) or is_blank(target)
