"""The embedded English–French corpus; `tools/phrasebook/` has the grammar that composed it."""

import csv
import gzip
from functools import lru_cache
from importlib.resources import files

LANGUAGES = ("en", "fr")


@lru_cache(maxsize=1)
def phrasebook() -> dict[str, tuple[tuple[str, str], ...]]:
    """Pairs of an English and a French sentence in the splits train (8000), valid (500) and test (500).

    The splits share no sentence. Half of the sentences of valid and test combine two words that train never combines.
    """
    text = gzip.decompress(files("trainables.data").joinpath("phrasebook.tsv.gz").read_bytes()).decode()
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "valid": [], "test": []}
    for name, english, french in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        splits[name].append((english, french))
    return {name: tuple(pairs) for name, pairs in splits.items()}
