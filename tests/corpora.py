"""Tiny parallel corpora that a tiny model learns in seconds."""

import random
from itertools import islice
from pathlib import Path

from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import Prepared, prepare

ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen twenty thirty"
)
FRENCH = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize vingt trente"
WEIGHTS = [10] * 10 + [1] * 9  # mostly digits; the rare words give sentencepiece enough for 60 pieces


def text_of(config: TranslationConfig, cache: Path) -> Prepared:
    """The text of a trial, prepared."""
    return prepare(config.data, config.tokenizer, cache)


def write_digits(folder: Path, train: int = 300, valid: int = 40, test: int = 40, seed: int = 0) -> Path:
    """2 to 6 spelt-out numbers a line, translated word for word, in {split}.en and {split}.fr; no line occurs twice."""
    rng = random.Random(seed)
    sentences: dict[tuple[int, ...], None] = {}  # a set that keeps its order
    while len(sentences) < train + valid + test:
        sentences[tuple(rng.choices(range(len(WEIGHTS)), WEIGHTS, k=rng.randint(2, 6)))] = None
    folder.mkdir(parents=True, exist_ok=True)
    unused = iter(sentences)
    for split, size in (("train", train), ("valid", valid), ("test", test)):
        chosen = list(islice(unused, size))
        for language, words in (("en", ENGLISH.split()), ("fr", FRENCH.split())):
            lines = [" ".join(words[word] for word in sentence) + "\n" for sentence in chosen]
            (folder / f"{split}.{language}").write_text("".join(lines), encoding="utf-8")
    return folder
