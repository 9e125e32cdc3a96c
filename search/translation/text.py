"""The text of a search: its digests for the record of a run, and its size for the leaderboard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.finals.board import DataSize
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora.cache import cached_corpus, cached_test_digest
from trainables.data.reading.text import Split


def pin_text(data: DataConfig, cache: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Digests of the splits. Raises UserError if one is not as in the record `known`, which is empty at first."""
    corpus = cached_corpus(data, cache)
    splits = {
        "training text": {"pairs": len(corpus.train), "sha256": corpus.train.digest()},
        "validation text": {"pairs": len(corpus.valid), "sha256": corpus.valid.digest()},
        **{f"{key.replace('_', ' ')} text": cached_test_digest(data, corpus.train, cache, key) for key in data.tests},
    }
    for split, found in splits.items():
        if found != (before := known[split] if known else found):
            raise UserError(
                f"data.path: {data.path}: its {split} is another than this run was made from: "
                f"{found['pairs']:,} pairs ({found['sha256'][:8]}), where there were {before['pairs']:,} "
                f"({before['sha256'][:8]}); restore the text, or start a new search"
            )
    return splits


def size_of_text(data: DataConfig, cache: Path, tests: Mapping[str, Split]) -> DataSize:
    """The pairs of each split. tests: by their keys in `DataConfig.tests`."""
    corpus = cached_corpus(data, cache)
    return DataSize(
        path=data.path,
        source=data.source,
        target=data.target,
        train_pairs=len(corpus.train),
        valid_pairs=len(corpus.valid),
        test_pairs=len(tests["test"]),
        other_tests={key: len(text) for key, text in tests.items() if key != "test"},
    )
