"""The state while a sentence is drawn: its random numbers, and the properties that its parts share."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from phrasebook.phrases import YOU, NounPhrase
from phrasebook.words import Adjective, Noun, Verb

T = TypeVar("T")


@dataclass
class Draft:
    """Passed to every function that draws a part of the sentence."""

    rng: random.Random
    you: NounPhrase = YOU  # whom the sentence addresses
    polarity: str | None = None  # the negation that the sentence imposes on its predicates, None for any
    pairs: list[tuple[str, str]] = field(default_factory=list)  # the English words that it combines

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.rng.random() * len(items))]

    def combine(self, word: Adjective | Verb, noun: Noun) -> None:
        """Note that the sentence says this of that noun."""
        self.pairs.append((word.en, noun.en))
