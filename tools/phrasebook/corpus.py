"""The corpus: three splits without common sentences, the last two with unseen combinations."""

import random
import zlib

from phrasebook.sentences import Sentence, draw_sentence

HELD_OUT_PERCENT = 12  # of the (adjective, noun) and (verb, object noun) pairs
LONGEST = 22  # English words
DRAWS_PER_SENTENCE = 40  # before a size counts as out of reach


def compose(seed: int, train: int, valid: int, test: int) -> dict[str, list[Sentence]]:
    """Sentences in three splits that share none, the same for the same arguments.

    Half of the validation and of the test sentences combine two words that training never combines.
    Raises ValueError: a size is negative, or beyond what a bounded number of draws yields.
    """
    sizes = {"train": train, "valid": valid, "test": test}
    if min(sizes.values()) < 0:
        raise ValueError(f"the size of a split can't be negative: {sizes}")
    rng = random.Random(seed)
    wanted = {(name, novel): (size + novel) // 2 for name, size in sizes.items() for novel in (True, False)}
    wanted["train", True], wanted["train", False] = 0, train
    splits: dict[str, list[Sentence]] = {name: [] for name in sizes}
    seen_en: set[str] = set()
    seen_fr: set[str] = set()
    for _ in range(DRAWS_PER_SENTENCE * sum(sizes.values()) + 1000):
        if not any(wanted.values()):
            return splits
        sentence = draw_sentence(rng)
        novel = any(held_out(pair) for pair in sentence.pairs)
        name = next((name for name in ("test", "valid", "train") if wanted[name, novel]), None)
        english, french = sentence.en.lower(), sentence.fr.lower()
        if name is None or english in seen_en or french in seen_fr or english.count(" ") >= LONGEST:
            continue
        seen_en.add(english)
        seen_fr.add(french)
        wanted[name, novel] -= 1
        splits[name].append(sentence)
    short = ", ".join(f"{len(splits[name])} of {size} {name} sentences" for name, size in sizes.items())
    raise ValueError(f"the phrasebook ran out of new sentences with {short}; ask for fewer")


def held_out(pair: tuple[str, str]) -> bool:
    """Whether training never combines these two words."""
    return zlib.crc32(" ".join(pair).encode()) % 100 < HELD_OUT_PERCENT
