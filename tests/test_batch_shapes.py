"""Batches of few shapes: every pair once, in step for all seeds, and no more padding than must be."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_batching import SIZES, TOKENS, make_split

from model.special_tokens import BOS, EOS, PAD
from trainables.base.translation_config import TranslationTraining
from trainables.data.encoding.batch_shapes import STRETCHES, Cells, classify
from trainables.data.encoding.batching import batch_sizes, count_batches, training_batches

steady = settings(derandomize=True, deadline=None)


@steady
@given(SIZES, TOKENS, st.integers(1, 6), st.integers(1, 3))
@example([(3, 3)] * 7, 16, 1, 1)  # four batches of two: a row stays empty
def test_each_pair_is_there_once_and_seeds_are_in_step(
    sizes: list[tuple[int, int]], tokens: int, most: int, epoch: int
) -> None:
    split, config = make_split(sizes), TranslationTraining(batch_tokens=tokens, batch_shapes=most)
    epochs = [list(training_batches(split, config, seed, epoch)) for seed in (1, 2)]
    shapes = [[(*source.shape, target.shape[1]) for source, target in batches] for batches in epochs]
    assert shapes[0] == shapes[1] and len(shapes[0]) == count_batches(split, config)
    assert set(shapes[0]) == set(batch_sizes(split, config)) and len(set(shapes[0])) <= most
    assert all(rows * (source + target - 1) <= tokens or rows == 1 for rows, source, target in shapes[0])
    for batches in epochs:
        numbers = []
        for source, target in batches:
            for row, words in zip(source.tolist(), target.tolist(), strict=True):
                if row[0] == EOS:  # none of the pairs begins so
                    assert set(row[1:]) | set(words[1:]) <= {PAD} and words[0] == BOS
                    continue
                number = row[0] - 10
                numbers.append(number)
                for ids, sequences in ((row, split.source), (words, split.target)):
                    wanted = sequences.ids[sequences.offsets[number] : sequences.offsets[number + 1]].tolist()
                    assert ids == wanted + [PAD] * (len(ids) - len(wanted))
        assert sorted(numbers) == list(range(len(sizes)))
    rest = list(training_batches(split, config, 1, epoch, start=len(epochs[0]) // 2))
    for one, other in zip(rest, epochs[0][len(epochs[0]) // 2 :], strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_seed_decides_which_pairs_meet_and_an_epoch_the_order() -> None:
    split = make_split([(i % 7 + 1, i % 5 + 1) for i in range(200)])
    config = TranslationTraining(batch_tokens=60, batch_shapes=4)

    def pairs(seed: int, epoch: int) -> list[frozenset[int]]:
        return [frozenset(source[:, 0].tolist()) for source, _ in training_batches(split, config, seed, epoch)]

    def sizes(epoch: int) -> list[int]:
        return [source.shape[1] for source, _ in training_batches(split, config, 1, epoch)]

    assert set(pairs(1, 1)) != set(pairs(2, 1)) and set(pairs(1, 1)) != set(pairs(1, 2))
    assert sizes(1) != sizes(2) and sizes(1) != sorted(sizes(1))


@steady
@given(SIZES.map(sorted), TOKENS, st.integers(1, 4))
def test_no_other_cut_has_less_padding(sizes: list[tuple[int, int]], tokens: int, most: int) -> None:
    sizes = sizes[:9]
    lengths = np.array(sizes)

    def cost(edges: tuple[int, ...]) -> int:
        total = 0
        for start, end in pairwise((0, *edges, len(sizes))):
            both = lengths[start:end].max(axis=0).sum()
            count = -(-(end - start) // max(1, tokens // both))
            total += count * -(-(end - start) // count) * both
        return int(total)

    cuts = [cut for n in range(most) for cut in combinations(range(1, len(sizes)), n)]
    # Equal pairs stay together, which can cost a row that no other cut would have.
    cuts = [cut for cut in cuts if all(sizes[edge - 1] != sizes[edge] for edge in cut)]
    classes = classify(Cells.of(lengths), tokens, None, most)
    assert sum(c.batches * c.shape.pairs * (c.shape.source + c.shape.target) for c in classes) == min(map(cost, cuts))
    assert [c.start for c in classes] == [0, *(c.end for c in classes[:-1])] and classes[-1].end == len(sizes)


@pytest.mark.parametrize("sentences", [None, 32])
def test_a_text_of_very_many_lengths_is_cut_soon_and_well(sentences: int | None) -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(30, 12, 100_000).clip(2, 128)
    lengths = np.stack((source, source * 1.1 + rng.normal(0, 4, len(source))), axis=1).clip(2, 128).astype(int)
    lengths = lengths[np.lexsort((lengths[:, 0], lengths[:, 1]))]
    assert len(np.unique(lengths, axis=0)) > 4 * STRETCHES
    classes = classify(Cells.of(lengths), None if sentences else 4096, sentences, 32)
    padded = sum(c.batches * c.shape.pairs * (c.shape.source + c.shape.target) for c in classes)
    assert len(classes) == 32 and lengths.sum() > 0.83 * padded
