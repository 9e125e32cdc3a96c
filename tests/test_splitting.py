"""Pairs that are taken out of the training text: which they are, and that no sentence stands in two splits."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest
from test_layouts import ALL, SPLITS, TAKEN, configured, read, tsv

from trainables.base.data_config import DataConfig
from trainables.data.reading.splitting import choose_pairs

GOLDEN = ["train 1", "train 2", "train 20", "train 24"]  # of a run that goes on


def test_the_split_of_a_text_never_changes(tmp_path: Path) -> None:
    config = configured(tmp_path, {"pairs.tsv": tsv(ALL)}, {"path": "pairs.tsv", "split": TAKEN})
    assert [pair[0].partition(":")[0] for pair in read(config, "test")] == GOLDEN


def test_no_sentence_stands_in_two_parts_and_blank_sides_in_none_that_is_scored(tmp_path: Path) -> None:
    some = [(f"sentence {n // 3}" if n % 2 else f"alone {n}", f"phrase {n}" if n % 7 else " ") for n in range(600)]
    some += [("", "nothing")] * 9
    config = configured(tmp_path, {"pairs.tsv": tsv(some)}, {"path": "pairs.tsv", "split": {"valid": 50, "test": 50}})
    parts = {split: read(config, split) for split in SPLITS}
    assert len(parts["valid"]) == len(parts["test"]) == 50
    seen = {split: {source for source, target in part if target} for split, part in parts.items()}
    assert not seen["train"] & seen["valid"] and not seen["train"] & seen["test"] and not seen["valid"] & seen["test"]
    assert all(target for split in ("valid", "test") for _, target in parts[split])
    assert any(source.startswith("sentence") for source in seen["valid"])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("valid", "test"), [(40, 30), (None, 33), (900, 1)])
def test_they_are_those_of_the_smallest_hashes_however_long_the_text_is(
    seed: int, valid: int | None, test: int | None
) -> None:
    rng = random.Random(seed)
    sources = [str(int(rng.paretovariate(0.4)) % 5000) for _ in range(9000)]  # a few very often, most once
    config = DataConfig.model_validate({"path": "x", "split": {"valid": valid, "test": test, "seed": seed}})
    chosen = choose_pairs(((source, "text") for source in sources), config)
    found = {split: [source for source in sources if chosen.is_in(split, "train", source, "text")] for split in SPLITS}

    def key(source: str) -> bytes:
        return hashlib.blake2b(source.encode(), key=seed.to_bytes(4, "big"), digest_size=8).digest()

    wanted: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for source, copies in sorted(Counter(sources).items(), key=lambda item: key(item[0])):
        room = {split: (size or 0) - len(wanted[split]) for split, size in (("valid", valid), ("test", test))}
        split = next((split for split in room if copies <= room[split]), "train")
        wanted[split] += [source] * copies
    assert {split: Counter(found[split]) for split in SPLITS} == {split: Counter(wanted[split]) for split in SPLITS}
    assert len(found["valid"]) == (valid or 0) and len(found["test"]) == test
