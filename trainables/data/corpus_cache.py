"""The text that a node trains on: the corpus itself, or its copy in the cache of a node that does not see it."""

import json
from functools import lru_cache
from pathlib import Path

from trainables.base.translation_config import DataConfig
from trainables.data.corpus import Corpus, Split, read_corpus

CORPUS = "corpus.json"  # in the cache of a node that does not see the corpus itself


@lru_cache(maxsize=1)
def cached_corpus(data: DataConfig, cache: Path) -> Corpus:
    """Training and validation text: what was brought into the cache for this node, or else the corpus itself."""
    if not (cache / CORPUS).exists():
        return read_corpus(data)
    kept = json.loads((cache / CORPUS).read_text(encoding="utf-8"))
    return Corpus(Split(**kept["train"]), Split(**kept["valid"]), kept["warnings"])
