"""The parts of a clause as values in both languages: noun phrases, pronouns among them, and predicates."""

from __future__ import annotations

from dataclasses import dataclass, replace

from phrasebook.english import english_noun
from phrasebook.french import french_adjective, french_plural
from phrasebook.words import NOTHING, Noun, Pair, Verb


@dataclass(frozen=True)
class NounPhrase:
    """A subject or an object, with the features that verbs, adjectives and pronouns agree with."""

    en: str
    fr: str
    person: int = 2  # je=0, tu, il, nous, vous, ils=5
    plural: bool = False
    feminine: bool = False
    human: bool = True
    object: Pair = NOTHING  # the object form of a pronoun: ("him", "le")
    noun: Noun | None = None
    determiner: str = ""
    topics: tuple[str, ...] = ()  # of its adjectives

    @property
    def pronoun(self) -> bool:
        return self.object != NOTHING

    @property
    def dative(self) -> str:
        """The French pronoun that stands for à with this one: lui for him."""
        return {"le": "lui", "la": "lui", "les": "leur"}.get(self.object.fr, self.object.fr)

    def agreeing(self, adjective: str, following: str = "") -> str:
        """The form of a French adjective or participle that goes with this phrase."""
        return french_adjective(adjective, self.feminine, self.plural, following)

    def silent(self) -> NounPhrase:
        """The subject that is understood: it agrees and says nothing."""
        return replace(self, en="", fr="")

    def resumed(self) -> NounPhrase:
        """The pronoun that takes up this phrase again."""
        if self.pronoun:
            return self
        pronoun = SHE if self.feminine else HE
        if self.plural:
            pronoun = replace(THEY, fr=f"{pronoun.fr}s", feminine=self.feminine)
        elif not self.human:
            pronoun = replace(pronoun, en="it", object=Pair("it", pronoun.object.fr))
        return replace(pronoun, human=self.human, noun=self.noun, topics=self.topics)


ME = NounPhrase("I", "je", 0, object=Pair("me", "me"))
YOU = NounPhrase("you", "vous", 4, object=Pair("you", "vous"))
HE = NounPhrase("he", "il", 2, object=Pair("him", "le"))
SHE = NounPhrase("she", "elle", 2, feminine=True, object=Pair("her", "la"))
WE = NounPhrase("we", "nous", 3, plural=True, object=Pair("us", "nous"))
THEY = NounPhrase("they", "ils", 5, plural=True, object=Pair("them", "les"))


def bare(noun: Noun, plural: bool) -> NounPhrase:
    """The noun alone."""
    french = french_plural(noun.fr) if plural else noun.fr
    person, human = 5 if plural else 2, noun.kind == "p"
    return NounPhrase(english_noun(noun, plural), french, person, plural, noun.feminine, human, noun=noun)


@dataclass(frozen=True)
class Predicate:
    """A verb and what follows it."""

    verb: Verb
    en: str = ""
    fr: str = ""
    clitics: tuple[str, ...] = ()  # French pronouns before the verb
    moved: NounPhrase | None = None  # a direct object that French has before the verb: its participle agrees
    negation: str = ""  # "", "not", "never", "no longer", "anything" or "anyone"
    adverb: Pair = NOTHING


def with_object(verb: Verb, phrase: NounPhrase, negation: str = "") -> Predicate:
    """The verb with its object: a noun phrase after it, a pronoun before the French verb."""
    if not phrase.pronoun:
        return Predicate(verb, phrase.en, f"{verb.preposition} {phrase.fr}", negation=negation)
    if verb.preposition:
        return Predicate(verb, phrase.object.en, clitics=(phrase.dative,), negation=negation)
    return Predicate(verb, phrase.object.en, clitics=(phrase.object.fr,), moved=phrase, negation=negation)
