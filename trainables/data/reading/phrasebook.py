"""The embedded English–French corpus; `tools/phrasebook/` has the grammar that composed it."""

import csv
import gzip
from functools import lru_cache
from importlib.resources import files

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError

LANGUAGES = ("en", "fr")


@lru_cache(maxsize=1)
def phrasebook() -> dict[str, tuple[tuple[str, str], ...]]:
    """Pairs of an English and a French sentence in the splits train (8000), valid (500) and test (500).

    The splits share no sentence. Half of the sentences of valid and test combine two words that train never combines.
    """
    text = gzip.decompress(files("trainables.data.reading").joinpath("phrasebook.tsv.gz").read_bytes()).decode()
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "valid": [], "test": []}
    for name, english, french in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        splits[name].append((english, french))
    return {name: tuple(pairs) for name, pairs in splits.items()}


def read_phrasebook(config: DataConfig, split: str) -> list[tuple[str, str]]:
    """Source and target of a split's pairs. Raises UserError for languages that it does not hold."""
    languages = (config.source, config.target)
    if sorted(languages) != sorted(LANGUAGES):
        raise UserError(
            f"data.path: the phrasebook holds {' and '.join(LANGUAGES)}, not {config.source} and {config.target}; "
            "set data.path to your corpus"
        )
    source, target = map(LANGUAGES.index, languages)
    return [(pair[source], pair[target]) for pair in phrasebook()[split]]
