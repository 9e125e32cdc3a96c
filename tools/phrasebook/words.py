"""The properties of words, and the reading of the lexicon's entries."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

NBSP = "\N{NO-BREAK SPACE}"  # joins the words of an English phrasal verb: "look at" is one base form
MASS_KINDS = "gd"


class Bilingual(Protocol):
    """Anything with an English and a French text."""

    @property
    def en(self) -> str: ...

    @property
    def fr(self) -> str: ...


class Pair(NamedTuple):
    """A text in both languages."""

    en: str
    fr: str


NOTHING, COMMA, AND = Pair("", ""), Pair(",", ","), Pair("and", "et")


@dataclass(frozen=True)
class Noun:
    en: str
    fr: str
    feminine: bool
    kind: str
    where: Pair  # how one is there: "on the farm", "à la ferme"; French also goes there so

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
    topic: str  # the adjectives of one topic exclude each other


@dataclass(frozen=True)
class Verb:
    en: str
    fr: str
    kinds: str = ""  # of the direct object; of the manner, where there is no object
    past: str = ""  # "" if the English forms are regular
    participle: str = ""
    preposition: str = ""  # what French puts before the object
    stative: bool = False
    animal: bool = False  # animals do it too


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
    """Entries "english french gender" by kind; a place may add its English and French preposition."""
    found = []
    for kind, text in entries.items():
        for entry in _entries(text):
            english, french, gender, *where = entry.split()
            found.append(Noun(english, french, gender == "f", kind, Pair(*(where or ("in", "dans")))))
    return tuple(found)


def adjectives(before: str, after: str) -> tuple[Adjective, ...]:
    """Entries "english french kinds" by topics, for before and after the French noun."""
    found = []
    for text in (before, after):
        for topic in text.split(";"):
            for entry in _entries(topic):
                english, french, kinds = entry.split()
                comparison = {"+": "er", "=": ""}.get(english[-1], "more")
                found.append(Adjective(english.rstrip("+="), french, kinds, text is before, comparison, topic))
    return tuple(found)


def verbs(entries: str, stative: bool = False, animal: bool = False) -> tuple[Verb, ...]:
    """Entries "english|french|kinds": the English may add its past and participle, the French a preposition."""
    found = []
    for entry in _entries(entries):
        english, french, kinds = (*entry.split("|"), "")[:3]
        base, past, participle = (*english.replace("-", NBSP).split(" "), "", "")[:3]
        infinitive, _, preposition = french.partition(" ")
        if infinitive == "se":
            infinitive, preposition = french, ""
        found.append(Verb(base, infinitive, kinds, past, participle, preposition, stative, animal))
    return tuple(found)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",")]
