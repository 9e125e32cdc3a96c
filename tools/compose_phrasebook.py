"""Generates the embedded corpus again, after a change of its grammar: python tools/compose_phrasebook.py.

Scores on the corpora before and after can't be compared; tokenizers and runs belong to one of them.
"""

import gzip
from pathlib import Path

from phrasebook.corpus import compose

FILE = Path(__file__).parents[1] / "trainables" / "data" / "reading" / "phrasebook.tsv.gz"
SEED, TRAIN, VALID, TEST = 0, 8000, 500, 500


def composed() -> str:
    """The lines of the corpus, one per pair: split, English, French."""
    splits = compose(SEED, TRAIN, VALID, TEST)
    return "".join(f"{name}\t{pair.en}\t{pair.fr}\n" for name, pairs in splits.items() for pair in pairs)


if __name__ == "__main__":
    FILE.write_bytes(gzip.compress(composed().encode(), mtime=0))
