"""What the grammar knows about a word, and how the entries of the lexicon are read."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

NBSP = "\N{NO-BREAK SPACE}"  # joins the words of an English phrasal verb: "look at" is one base form
MASS_KINDS = "gd"


class Bilingual(Protocol):
    """Whatever has an English and a French text."""

    @property
    def en(self) -> str: ...

    @property
    def fr(self) -> str: ...


class Pair(NamedTuple):
    """A text in both languages, and no more."""

    en: str
    fr: str


NOTHING, COMMA, AND = Pair("", ""), Pair(",", ","), Pair("and", "et")


@dataclass(frozen=True)
class Noun:
    en: str
    fr: str
    feminine: bool
    kind: str

    @property
    def mass(self) -> bool:
        return self.kind in MASS_KINDS


@dataclass(frozen=True)
class Adjective:
    en: str
    fr: str
    kinds: str
    before: bool  # French places it before the noun
    comparison: str  # "er", "more" or "" for none


@dataclass(frozen=True)
class Verb:
    en: str
    fr: str
    kinds: str = ""  # of the direct object
    past: str = ""  # "" where the English forms are regular
    participle: str = ""
    preposition: str = ""  # what French puts before the object
    stative: bool = False


def join(*parts: Bilingual) -> Pair:
    """The parts one after the other; `sentences` removes the spaces that empty ones leave."""
    return Pair(" ".join(part.en for part in parts), " ".join(part.fr for part in parts))


def word_list(text: str) -> list[str]:
    """Words written with spaces between them."""
    return text.split()


def pairs(entries: str) -> tuple[Pair, ...]:
    """Entries "english|french"."""
    return tuple(Pair(*entry.split("|")) for entry in _entries(entries))


def nouns(**entries: str) -> tuple[Noun, ...]:
    """Entries "english french gender" by kind."""
    found = []
    for kind, text in entries.items():
        for entry in _entries(text):
            english, french, gender = entry.split()
            found.append(Noun(english, french, gender == "f", kind))
    return tuple(found)


def adjectives(before: str, after: str) -> tuple[Adjective, ...]:
    """Entries "english french kinds" of the adjectives that French puts before and after the noun."""
    found = []
    for text in (before, after):
        for entry in _entries(text):
            english, french, kinds = entry.split()
            comparison = {"+": "er", "=": ""}.get(english[-1], "more")
            found.append(Adjective(english.rstrip("+="), french, kinds, text is before, comparison))
    return tuple(found)


def verbs(entries: str, stative: bool = False) -> tuple[Verb, ...]:
    """Entries "english|french|kinds": the English may add its past and participle, the French a preposition."""
    found = []
    for entry in _entries(entries):
        english, french, kinds = (*entry.split("|"), "")[:3]
        base, past, participle = (*english.replace("-", NBSP).split(" "), "", "")[:3]
        infinitive, _, preposition = french.partition(" ")
        if infinitive == "se":
            infinitive, preposition = french, ""
        found.append(Verb(base, infinitive, kinds, past, participle, preposition, stative))
    return tuple(found)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",")]
