"""A synchronous grammar: every rule composes the English and the French of a phrase together.

The English decides the French. Where English is silent a fixed rule speaks: "I", "we", "they" and an
unaddressed "you" (vous) are masculine; whoever is called by a first name is tu; a simple past is a passé
composé, with stative verbs an imparfait; a later he, she, it or they is the subject before it, an object
pronoun the object before it; questions invert pronouns and put est-ce que before nouns.
"""

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trainables.phrasebook import lexicon as words
from trainables.phrasebook.lexicon import Adjective, Noun, Pair, Verb, word_list
from trainables.phrasebook.morphology import (
    a_or_an,
    conjugate,
    contract,
    english_comparative,
    english_noun,
    english_number,
    english_verb,
    french_adjective,
    french_number,
    french_plural,
    imperative,
    past_participle,
    reflexive,
    takes_être,
    vowel_initial,
)

LANGUAGES = ("en", "fr")
HELD_OUT_PERCENT = 12  # of the (adjective, noun) and (verb, object noun) pairs
LONGEST = 22  # English words
DRAWS_PER_SENTENCE = 40  # before a size counts as out of reach

T = TypeVar("T")


@dataclass(frozen=True)
class NounPhrase:
    en: str
    fr: str
    person: int = 2  # je=0, tu, il, nous, vous, ils=5
    plural: bool = False
    feminine: bool = False
    human: bool = True
    pronoun: bool = False
    object: Pair = ("", "")  # of pronouns: ("him", "le")
    noun: Noun | None = None


@dataclass(frozen=True)
class Predicate:
    """A verb and what follows it. `moved` is a direct object that French has before the verb."""

    verb: Verb
    en: str = ""
    fr: str = ""
    clitics: tuple[str, ...] = ()
    moved: NounPhrase | None = None
    negation: str = ""
    adverb: Pair = ("", "")


@dataclass(frozen=True)
class Sentence:
    en: str
    fr: str
    pairs: tuple[Pair, ...]  # the English (adjective, noun) and (verb, object noun) it combines


def held_out(pair: Pair) -> bool:
    """Whether training never combines these two words."""
    return zlib.crc32(" ".join(pair).encode()) % 100 < HELD_OUT_PERCENT


def _pronoun(
    en: str, fr: str, person: int, objects: Pair, feminine: bool = False, human: bool = True
) -> NounPhrase:
    return NounPhrase(en, fr, person, person in (3, 5), feminine, human, True, objects)


ME, YOU = _pronoun("I", "je", 0, ("me", "me")), _pronoun("you", "vous", 4, ("you", "vous"))
WE = _pronoun("we", "nous", 3, ("us", "nous"))
HE, SHE = _pronoun("he", "il", 2, ("him", "le")), _pronoun("she", "elle", 2, ("her", "la"), feminine=True)
THEY = _pronoun("they", "ils", 5, ("them", "les"))
NEGATIONS = {
    "": "",
    "not": "pas",
    "never": "jamais",
    "no longer": "plus",
    "anything": "rien",
    "anyone": "personne",
}
PERIPHRASES = {"going": "aller", "can": "pouvoir", "must": "devoir", "want": "vouloir", "progressive": "être"}
SIMPLE = {"present": "present", "past": "imperfect", "used": "imperfect",
    "was": "imperfect", "future": "future",
          "would": "conditional", "hypothetical": "imperfect"}  # fmt: skip
CONTRACTED = {"am": "am not", "will": "won't", "can": "can't"}


def resume(phrase: NounPhrase) -> NounPhrase:
    """The pronoun that takes up a noun phrase again."""
    if phrase.pronoun:
        return phrase
    if phrase.plural:
        return _pronoun("they", "elles" if phrase.feminine else "ils", 5, ("them", "les"), phrase.feminine)
    pronoun = SHE if phrase.feminine else HE
    return (
        pronoun if phrase.human else replace(pronoun, en="it", object=("it", pronoun.object[1]), human=False)
    )


def silent(phrase: NounPhrase) -> NounPhrase:
    """The subject that is understood: it agrees and says nothing."""
    return replace(phrase, en="", fr="")


# ---------------------------------------------------------------- clauses


def _english_group(verb: Verb, tense: str, person: int, auxiliary: bool) -> Pair:
    """The auxiliary and the rest of the verb; without need of an auxiliary it may be empty."""
    third = person == 2
    present_be, past_be = ("is", "was") if third else ("am", "was") if person == 0 else ("are", "were")
    base, do = english_verb(verb, "base"), "does" if third else "do"
    if verb.en == "be" and tense in ("present", "past", "hypothetical"):
        return {"present": present_be, "past": past_be, "hypothetical": "were"}[tense], ""
    match tense:
        case "progressive" | "was":
            return present_be if tense == "progressive" else past_be, english_verb(verb, "ing")
        case "going":
            return present_be, f"going to {base}"
        case "perfect":
            return "has" if third else "have", english_verb(verb, "participle")
        case "future" | "would" | "can" | "must":
            return "will" if tense == "future" else tense, base
        case "used":
            finite, bare, do = f"used to {base}", f"use to {base}", "did"
        case "want":
            finite, bare = f"{'wants' if third else 'want'} to {base}", f"want to {base}"
        case "present":
            finite, bare = english_verb(verb, "s") if third else base, base
        case _:
            finite, bare, do = english_verb(verb, "past"), base, "did"
    return (do, bare) if auxiliary else ("", finite)


def _english(subject: NounPhrase, predicate: Predicate, tense: str, inverted: bool) -> str:
    contracted = predicate.negation in ("not", "anything", "anyone")
    auxiliary, rest = _english_group(predicate.verb, tense, subject.person, inverted or contracted)
    if contracted:
        auxiliary = CONTRACTED.get(auxiliary, auxiliary + "n't")
    late = predicate.negation if predicate.negation in ("anything", "anyone") else ""
    early = "" if contracted else predicate.negation
    order = (auxiliary, subject.en) if inverted else (subject.en, auxiliary)
    return " ".join((*order, early, predicate.adverb[0], rest, late, predicate.en))


def _pronouns(predicate: Predicate, person: int) -> str:
    own = (word_list("me te se nous vous se")[person],) if reflexive(predicate.verb.fr) else ()
    rank = {"le": 1, "la": 1, "les": 1, "lui": 2, "leur": 2}
    return " ".join(sorted(own + predicate.clitics, key=lambda clitic: rank.get(clitic, 0)))


def _french(subject: NounPhrase, predicate: Predicate, tense: str, inverted: bool) -> str:
    infinitive, person = predicate.verb.fr, subject.person
    pronouns, inner = _pronouns(predicate, person), ""
    if tense == "perfect" or (tense == "past" and not predicate.verb.stative):
        être = takes_être(infinitive)
        finite = conjugate("être" if être else "avoir", "present", person)
        agreeing = subject if être else predicate.moved
        inner = past_participle(infinitive)
        if agreeing:
            inner = french_adjective(inner, agreeing.feminine, agreeing.plural)
    elif tense in PERIPHRASES:
        finite = conjugate(PERIPHRASES[tense], "present", person)
        inner = (
            f"{'en train de' if tense == 'progressive' else ''} {pronouns} {infinitive.removeprefix('se ')}"
        )
        pronouns = ""
    else:
        finite = conjugate(infinitive, SIMPLE[tense], person)
    if inverted:
        finite += ("-t-" if person == 2 and finite[-1] in "aec" else "-") + subject.fr
    ne, negation = "ne" if predicate.negation else "", NEGATIONS[predicate.negation]
    early, late = ("", negation) if negation == "personne" else (negation, "")
    start = "" if inverted else subject.fr
    return " ".join((start, ne, pronouns, finite, early, predicate.adverb[1], inner, late, predicate.fr))


def clause(subject: NounPhrase, predicate: Predicate, tense: str) -> Pair:
    """A statement."""
    return _english(subject, predicate, tense, False), _french(subject, predicate, tense, False)


def question(subject: NounPhrase, predicate: Predicate, tense: str) -> Pair:
    """A question without its question word: inversion of a pronoun, est-ce que before all else."""
    inverts = subject.pronoun and subject.person != 0
    french = _french(subject, predicate, tense, inverts)
    return _english(subject, predicate, tense, True), french if inverts else "est-ce que " + french


def nonfinite(subject: NounPhrase, predicate: Predicate) -> tuple[str, str, str]:
    """The bare English verb phrase, the one in -ing, and the French infinitive."""
    base, ing = (f"{english_verb(predicate.verb, form)} {predicate.en}" for form in ("base", "ing"))
    infinitive = predicate.verb.fr.removeprefix("se ")
    return base, ing, f"{_pronouns(predicate, subject.person)} {infinitive} {predicate.fr}"


def with_object(verb: Verb, phrase: NounPhrase, negation: str = "") -> Predicate:
    """The verb with its object: a noun phrase after it, a pronoun before the French verb."""
    if not phrase.pronoun:
        return Predicate(verb, phrase.en, f"{verb.preposition} {phrase.fr}", negation=negation)
    english, clitic = phrase.object
    if verb.preposition:
        return Predicate(verb, english, "", (_dative(clitic),), negation=negation)
    return Predicate(verb, english, "", (clitic,), phrase, negation)


def _dative(clitic: str) -> str:
    return {"le": "lui", "la": "lui", "les": "leur"}.get(clitic, clitic)


# ---------------------------------------------------------------- composition

BY_KIND = {kind: tuple(noun for noun in words.NOUNS if noun.kind == kind) for kind in "pafgdtcorkvlw"}
FITTING = {kind: tuple(a for a in words.ADJECTIVES if kind in a.kinds) for kind in BY_KIND}
ACCEPTING = {
    kind: tuple(v for v in words.TRANSITIVE if kind in v.kinds and not v.preposition) for kind in BY_KIND
}
OWNERS = {"my": "mon ma mes", "his": "son sa ses", "her": "son sa ses", "our": "notre notre nos",
          "their": "leur leur leurs"}  # fmt: skip
SINGULAR = word_list("the the the a a this own own every")
PLURAL = word_list("the the some these own number several many few all")
QUANTITIES = {"several": ("several", "plusieurs"),
    "many": ("many", "beaucoup de"), "few": ("a few", "quelques"),
              "every": ("every", "chaque")}  # fmt: skip
DEFINITE = ("the", "this", "these", "own")
TENSES = word_list(
    "present present past past past perfect future future progressive was used going can must want"
)
FORMS = {"simple": 10, "nested": 18, "description": 15, "indefinite": 5,
    "chain": 16, "purpose": 9, "compound": 29,
         "thought": 15, "asking": 11, "command": 4}  # fmt: skip
FORM_DECK = tuple(form for form, share in FORMS.items() for _ in range(share))
BASIC_TENSES = word_list("present past future")


class Composer:
    """Draws sentences; `you` is whom the present sentence addresses, `pairs` what it combines."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.you = YOU
        self.pairs: list[Pair] = []
        self.polarity: str | None = None  # the negation that the sentence imposes on its predicates

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.rng.random() * len(items))]

    # noun phrases

    def noun_phrase(self, kinds: str, depth: int = 1, verb: Verb | None = None, negated: bool = False,
                    definite: bool = False) -> NounPhrase:  # fmt: skip
        """A noun with its determiner and adjectives; below `depth` 1 it may hold a relative clause."""
        noun = self.pick(BY_KIND[self.pick(kinds)])
        if verb:
            self.pairs.append((verb.en, noun.en))
        plural = not noun.mass and self.chance(0.4)
        adjectives = self.adjectives(noun)
        before = [adjective for adjective in adjectives if adjective.before]
        english = " ".join([a.en for a in adjectives] + [english_noun(noun, plural)])
        french = french_plural(noun.fr) if plural else noun.fr
        for adjective in adjectives:
            form = french_adjective(adjective.fr, noun.feminine, plural, noun.fr if adjective.before else "")
            french = f"{form} {french}" if adjective.before else f"{french} {form}"
        options = word_list("the the some some own") if noun.mass else PLURAL if plural else SINGULAR
        kind = self.pick([option for option in options if not definite or option in DEFINITE])
        if kind == "own" and self.chance(0.5):
            english, french = self.possessed(noun, plural, english, french)
        else:
            article = self.determiner(kind, noun, plural, english, french, negated, bool(before))
            english, french = f"{article[0]} {english}", f"{article[1]} {french}"
        phrase = NounPhrase(
            english, french, 5 if plural else 2, plural, noun.feminine, noun.kind == "p", noun=noun
        )
        if depth < 1 and kind in ("the", "these", "this", "a") and self.chance(0.3):
            return self.relative(phrase)
        return phrase

    def adjectives(self, noun: Noun) -> list[Adjective]:
        if not self.chance(0.42):
            return []
        chosen = [self.pick(FITTING[noun.kind])]
        second = self.pick(FITTING[noun.kind])
        if self.chance(0.25) and second.before != chosen[0].before:
            chosen.append(second)
            chosen.sort(key=lambda adjective: not adjective.before)
        self.pairs += [(adjective.en, noun.en) for adjective in chosen]
        return chosen

    def determiner(self, kind: str, noun: Noun, plural: bool, english: str, french: str, negated: bool,
                   adjective_first: bool) -> Pair:  # fmt: skip
        vowel = vowel_initial(french)
        gender = 2 if plural else 1 if noun.feminine else 0
        match kind:
            case "the":
                return "the", word_list("LE LA LES")[gender]
            case "a":
                return a_or_an(english), "de" if negated else "une" if noun.feminine else "un"
            case "some":
                partitive = "des" if plural else "de LA" if noun.feminine else "de LE"
                return "any" if negated else "some", "de" if negated or (
                    plural and adjective_first
                ) else partitive
            case "this" | "these":
                return kind, "ces" if plural else "cette" if noun.feminine else "cet" if vowel else "ce"
            case "own":
                owner = self.pick(tuple(OWNERS))
                return owner, OWNERS[owner].split()[0 if vowel and not plural else gender]
            case "number":
                n = self.rng.randint(2, 12) if self.chance(0.5) else self.rng.randint(13, 999)
                return english_number(n), french_number(n, noun.feminine)
            case "all":
                return "all the", "toutes LES" if noun.feminine else "tous LES"
        return QUANTITIES[kind]

    def possessed(self, noun: Noun, plural: bool, english: str, french: str) -> Pair:
        """Paul's hat, the nurse's hat."""
        owner = self.name() if self.chance(0.4) else self.noun_phrase("p", definite=True)
        ending = "'" if owner.plural and owner.en.endswith("s") else "'s"
        article = "LES" if plural else "LA" if noun.feminine else "LE"
        return f"{owner.en}{ending} {english}", f"{article} {french} de {owner.fr}"

    def relative(self, head: NounPhrase) -> NounPhrase:
        """The noun phrase with a relative clause: on its subject, its object or a place."""
        assert head.noun
        way = self.rng.random()
        tense = self.pick(("present", "past", "past", "future", "was"))
        if head.noun.kind == "l" and way < 0.5:
            subject = self.subject(simple=True)
            predicate = Predicate(self.pick(words.INTRANSITIVE))
            english, french = clause(subject, predicate, tense)
            return replace(head, en=f"{head.en} where {english}", fr=f"{head.fr} où {french}")
        if head.noun.kind in "pa" and way < 0.6:
            english, french = clause(silent(head), self.transitive(head, tense, depth=2), tense)
            who = "who" if head.human else "that"
            return replace(head, en=f"{head.en} {who} {english}", fr=f"{head.fr} qui {french}")
        verb = self.pick(ACCEPTING[head.noun.kind])
        subject = self.subject(simple=True)
        self.pairs.append((verb.en, head.noun.en))
        english, french = clause(subject, Predicate(verb, moved=head), self.suited(verb, tense))
        return replace(head, en=f"{head.en} that {english}", fr=f"{head.fr} que {french}")

    def name(self) -> NounPhrase:
        feminine = self.chance(0.5)
        name = self.pick(words.WOMEN if feminine else words.MEN)
        return NounPhrase(name, name, feminine=feminine)

    def subject(self, depth: int = 1, simple: bool = False) -> NounPhrase:
        way = self.rng.random()
        if way < 0.27:
            return self.pick((ME, self.you, HE, SHE, WE, THEY))
        if way < 0.45:
            return self.name()
        if way < 0.51:
            one, other = self.name(), self.name()
            if one.en != other.en:
                both = f"{one.en} and {other.en}", f"{one.fr} et {other.fr}"
                return NounPhrase(*both, 5, True, one.feminine and other.feminine)
        return self.noun_phrase("pppa", depth, definite=simple)

    # predicates

    def suited(self, verb: Verb, tense: str) -> str:
        """The tense, or the nearest that a stative verb has."""
        if not verb.stative:
            return tense
        return {"progressive": "present", "was": "past", "perfect": "past", "going": "future"}.get(
            tense, tense
        )

    def negation(self, tense: str, share: float = 0.16) -> str:
        if self.polarity is not None:
            return self.polarity
        if not self.chance(share) or tense in ("used", "was", "would", "hypothetical"):
            return ""
        if tense in ("present", "future", "can", "want"):
            return self.pick(("not", "not", "not", "never", "no longer"))
        return "never" if tense == "perfect" and self.chance(0.5) else "not"

    def adverb(self, tense: str, negation: str) -> Pair:
        if negation or not self.chance(0.12):
            return "", ""
        if tense == "perfect":
            return "already", "déjà"
        return self.pick(words.FREQUENCIES) if tense in ("present", "past", "future") else ("", "")

    def other_pronoun(self, subject: NounPhrase) -> NounPhrase:
        """A person that is not the subject: "I see me" is no sentence."""
        groups = {0: 0, 3: 0, 1: 1, 4: 1}
        mine = groups.get(subject.person, 2)
        return self.pick(
            [p for p in (ME, WE, self.you, HE, SHE, THEY) if mine == 2 or groups.get(p.person, 2) != mine]
        )

    def transitive(
        self, subject: NounPhrase, tense: str, depth: int = 1, verb: Verb | None = None
    ) -> Predicate:
        verb = verb or self.pick(words.TRANSITIVE)
        while verb.stative and tense in ("progressive", "was", "perfect", "going"):
            verb = self.pick(words.TRANSITIVE)
        negation = self.negation(tense)
        if "p" in verb.kinds and verb.preposition != "de" and self.chance(0.3):
            predicate = with_object(verb, self.other_pronoun(subject), negation)
        elif (negation == "not" and self.polarity is None and tense != "progressive" and not verb.preposition
              and self.chance(0.2)):  # fmt: skip
            negation = "anyone" if "p" in verb.kinds else "anything"
            predicate = Predicate(verb, negation=negation)
        else:
            any_such = bool(negation) and not verb.preposition
            definite = verb.preposition == "de" or (verb.stative and verb.en not in ("have", "own"))
            phrase = self.noun_phrase(verb.kinds, depth, verb, any_such, definite)
            predicate = with_object(verb, phrase, negation)
        return replace(predicate, adverb=self.adverb(tense, negation))

    def giving(self, subject: NounPhrase, tense: str) -> Predicate:
        """To give something to someone, or someone something."""
        verb, negation = self.pick(words.GIVING), self.negation(tense)
        thing = self.noun_phrase(verb.kinds, 1, verb, bool(negation))
        if self.chance(0.5):
            receiver = self.other_pronoun(subject)
            return Predicate(verb, f"{receiver.object[0]} {thing.en}" if verb.en != "explain" else
                             f"{thing.en} to {receiver.object[0]}", thing.fr, (_dative(receiver.object[1]),),
                             negation=negation)  # fmt: skip
        receiver = self.name() if self.chance(0.3) else self.noun_phrase("p", definite=True)
        return Predicate(
            verb, f"{thing.en} to {receiver.en}", f"{thing.fr} à {receiver.fr}", negation=negation
        )

    def state(self, subject: NounPhrase, tense: str) -> Predicate:
        """To be something: an adjective, compared or not; hungry; so many years old."""
        negation, way = self.negation(tense), self.rng.random()
        kind = subject.noun.kind if subject.noun else "p"
        if subject.human and way < 0.15:
            n = self.rng.randint(2, 99)
            return Predicate(words.BE_HAVING, f"{english_number(n)} years old", f"{french_number(n)} ans",
                             negation=negation if negation == "not" else "")  # fmt: skip
        if subject.human and way < 0.3:
            english, french = self.pick(words.STATES)
            return Predicate(words.BE_HAVING, english, french, negation=negation)
        adjective = self.pick(FITTING[kind])
        if subject.noun:
            self.pairs.append((adjective.en, subject.noun.en))
        english, french = adjective.en, french_adjective(adjective.fr, subject.feminine, subject.plural)
        if adjective.comparison and way < 0.55:
            english, french = self.compared(adjective, subject, kind)
        elif adjective.comparison and way < 0.75:
            degree = self.pick((("very", "très"), ("too", "trop")))
            english, french = f"{degree[0]} {english}", f"{degree[1]} {french}"
        return Predicate(words.BE, english, french, negation=negation)

    def compared(self, adjective: Adjective, subject: NounPhrase, kind: str) -> Pair:
        other = self.name() if kind == "p" and self.chance(0.4) else self.noun_phrase(kind, definite=True)
        french = french_adjective(adjective.fr, subject.feminine, subject.plural)
        if self.chance(0.3):
            return f"as {adjective.en} as {other.en}", f"aussi {french} que {other.fr}"
        better = french_adjective("meilleur", subject.feminine, subject.plural)
        more = better if adjective.en == "good" else f"plus {french}"
        return f"{english_comparative(adjective)} than {other.en}", f"{more} que {other.fr}"

    def place(self) -> Pair:
        way = self.rng.random()
        if way < 0.25:
            return self.pick(words.TOWNS)
        kind, prepositions = ("l", words.INSIDE) if way < 0.75 else ("w", words.OUTSIDE)
        preposition, phrase = self.pick(prepositions), self.noun_phrase(kind, definite=True)
        return f"{preposition[0]} {phrase.en}", f"{preposition[1]} {phrase.fr}"

    def surface(self) -> Pair:
        preposition, phrase = self.pick(words.SURFACES), self.noun_phrase("r", definite=True)
        return f"{preposition[0]} {phrase.en}", f"{preposition[1]} {phrase.fr}"

    def moving(self, tense: str) -> Predicate:
        """To do something somewhere, or to go there."""
        negation, way = self.negation(tense), self.rng.random()
        if way < 0.4:
            return Predicate(self.pick(words.MOTION), *self.place_to(), negation=negation)
        if way < 0.5:
            return Predicate(words.LIVE, *self.place(), negation=negation)
        if way < 0.65:
            return Predicate(self.pick(words.LEAVING), negation=negation)
        verb = self.pick(words.INTRANSITIVE)
        if self.chance(0.25) and not negation:
            return Predicate(verb, *self.pick(words.MANNERS))
        return Predicate(verb, *self.place(), negation=negation, adverb=self.adverb(tense, negation))

    def predicate(self, subject: NounPhrase, tense: str, depth: int = 1) -> tuple[Predicate, str]:
        """Any predicate, and the tense it takes."""
        way = self.rng.random()
        if way < 0.46:
            predicate = self.transitive(subject, tense, depth)
            if depth and self.chance(0.35):
                place = self.place()
                predicate = replace(
                    predicate, en=f"{predicate.en} {place[0]}", fr=f"{predicate.fr} {place[1]}"
                )
        elif way < 0.58:
            predicate = self.giving(subject, tense)
        elif way < 0.76:
            tense = {"was": "past", "perfect": "past"}.get(tense, tense)
            tense = tense if tense in ("past", "used", "would", "future", "hypothetical") else "present"
            predicate = self.state(subject, tense)
        else:
            predicate = self.moving(tense)
        return predicate, self.suited(predicate.verb, tense)

    def time(self, tense: str, statement: Pair, share: float = 0.35) -> Pair:
        """The statement with a time before or after it."""
        key = {
            "past": "past",
            "future": "future",
            "going": "future",
            "progressive": "progressive",
            "present": "present",
        }
        if tense not in key or not self.chance(share):
            return statement
        english, french = self.pick(words.TIMES[key[tense]])
        if self.chance(0.35) and tense in ("past", "future", "present"):
            if tense == "past" and self.chance(0.6):
                n, unit = self.rng.randint(2, 20), self.pick(words.UNITS)
                english = f"{english_number(n)} {unit[0]}s ago"
                french = f"il y a {french_number(n)} {french_plural(unit[1])}"
            elif tense == "present":
                day = self.pick(words.DAYS)
                english, french = f"on {day[0]}s", f"le {day[1]}"
            else:
                month, n = self.pick(words.MONTHS), self.rng.randint(2, 28)
                english, french = f"on {month[0]} {n}", f"le {n} {month[1]}"
        if self.chance(0.3):
            return f"{english}, {statement[0]}", f"{french}, {statement[1]}"
        return f"{statement[0]} {english}", f"{statement[1]} {french}"

    # sentences

    def statement(self, tense: str = "", depth: int = 1, subject: NounPhrase | None = None) -> Pair:
        subject = subject or self.subject(depth)
        predicate, tense = self.predicate(subject, tense or self.pick(TENSES), depth)
        return clause(subject, predicate, tense)

    def simple(self) -> Pair:
        tense, subject = self.pick(TENSES), self.subject()
        predicate, tense = self.predicate(subject, tense)
        timed = not predicate.negation and not predicate.adverb[0] and not predicate.verb.stative
        return self.time(tense, clause(subject, predicate, tense), 0.35 if timed else 0)

    def nested(self) -> Pair:
        return self.statement(depth=0)

    def description(self) -> Pair:
        """A thing, often with a relative clause, and what it is like or where."""
        subject, tense = (
            self.noun_phrase("pactorkvlwfgd", 0, definite=True),
            self.pick(("present", "present", "past")),
        )
        movable = subject.noun and subject.noun.kind in "pacotk"
        if movable and self.chance(0.35):
            place = self.surface() if subject.noun and subject.noun.kind in "acotk" else self.place()
            return clause(subject, Predicate(words.BE, *place, negation=self.negation(tense)), tense)
        return clause(subject, self.state(subject, tense), tense)

    def indefinite(self) -> Pair:
        """Everybody or nobody does something; there is something somewhere."""
        tense = self.pick(BASIC_TENSES)
        if self.chance(0.5):
            subject = NounPhrase("everybody", "tout le monde")
            if self.chance(0.5):
                subject, self.polarity = NounPhrase("nobody", "personne ne"), "not"
            predicate, tense = self.predicate(subject, tense)
            return clause(subject, replace(predicate, negation=""), tense)
        kind, negated = self.pick("pactov"), self.chance(0.2)
        noun = self.pick(BY_KIND[kind])
        plural = self.chance(0.7)
        forms = english_noun(noun, plural), french_plural(noun.fr) if plural else noun.fr
        determiner = (
            self.pick(("number", "some", "several", "many"))
            if plural and not negated
            else "some"
            if plural
            else "a"
        )
        english, french = self.determiner(determiner, noun, plural, *forms, negated, False)
        verb = Predicate(words.BE_HAVING, f"{english} {forms[0]}", f"{french} {forms[1]}", ("y",),
                         negation="not" if negated else "")  # fmt: skip
        place = self.place() if kind in "pav" else self.surface()
        there = _english(NounPhrase("there", "", 5 if plural else 2), verb, tense, False)
        return f"{there} {place[0]}", f"{_french(NounPhrase('', 'il'), verb, tense, False)} {place[1]}"

    def chain(self) -> Pair:
        """One does something with an object and then something else with it."""
        tense, subject = (
            self.pick(("past", "past", "future", "perfect", "going", "want", "can", "must")),
            self.subject(),
        )
        first = self.pick([v for v in words.TRANSITIVE if not v.preposition and not v.stative])
        phrase = self.noun_phrase(first.kinds, 1, first)
        assert phrase.noun
        second = self.pick([v for v in ACCEPTING[phrase.noun.kind] if v.en != first.en and not v.stative])
        self.pairs.append((second.en, phrase.noun.en))
        taken_up = with_object(second, resume(phrase))
        head = clause(subject, with_object(first, phrase), tense)
        way = self.pick(("and", "and", "before", "without"))
        if way == "and":
            tail = clause(silent(subject), taken_up, tense)
            return f"{head[0]} and {tail[0]}", f"{head[1]} et {tail[1]}"
        _, ing, infinitive = nonfinite(subject, taken_up)
        return f"{head[0]} {way} {ing}", f"{head[1]} {'avant de' if way == 'before' else 'sans'} {infinitive}"

    def purpose(self) -> Pair:
        subject, tense = self.subject(), self.pick(BASIC_TENSES)
        head = clause(subject, Predicate(self.pick(words.MOTION), *self.place_to()), tense)
        predicate = self.transitive(subject, "would")
        base, _, infinitive = nonfinite(subject, predicate)
        return f"{head[0]} to {base}", f"{head[1]} pour {infinitive}"

    def place_to(self) -> Pair:
        if self.chance(0.3):
            return self.pick(words.DESTINATIONS)
        phrase = self.noun_phrase("l", definite=True)
        return f"to {phrase.en}", f"à {phrase.fr}"

    def compound(self) -> Pair:
        """Two statements joined; the second may resume the subject of the first."""
        link, linked, tense, later = self.pick((
            ("because", "parce que", "past", "past"), ("because", "parce que", "present", "present"),
            ("because", "parce que", "future", "present"), ("but", "mais", "past", "past"),
            ("and", "et", "past", "past"), ("when", "quand", "past", "past"), ("so", "donc", "past", "past"),
            ("while", "pendant que", "was", "was"), ("if", "si", "future", "present"),
            ("if", "si", "would", "hypothetical"), ("but", "mais", "present", "future")))  # fmt: skip
        subject = self.subject()
        predicate, used = self.predicate(subject, tense)
        main = clause(subject, predicate, used)
        if link in ("because", "if") and tense in ("past", "present", "future") and self.chance(0.25):
            side = self.pick(words.WEATHER["if" if link == "if" else later])
        else:
            side = self.statement(later, subject=self.next_subject(subject, 0.55))
        comma = "," if link in ("but", "so") else ""
        if link in ("when", "if", "while") and self.chance(0.4):
            return f"{link} {side[0]}, {main[0]}", f"{linked} {side[1]}, {main[1]}"
        return f"{main[0]}{comma} {link} {side[0]}", f"{main[1]}{comma} {linked} {side[1]}"

    def next_subject(self, subject: NounPhrase, resumed: float) -> NounPhrase:
        """The subject again or another one; "they" always resumes, so that ils or elles is decided."""
        other = resume(subject)
        if not self.chance(resumed):
            while (other := self.subject()) is THEY:
                pass
        return other

    def thought(self) -> Pair:
        """Someone thinks, knows, says, hopes that something is so."""
        verb = words.THINKING[self.pick(("think", "know", "believe", "say", "hope"))]
        subject = self.subject(simple=True)
        main = clause(subject, Predicate(verb), "present")
        tense = "future" if verb.en == "hope" else self.pick(BASIC_TENSES)
        side = self.statement(tense, subject=self.next_subject(subject, 0.3))
        return f"{main[0]} that {side[0]}", f"{main[1]} que {side[1]}"

    def asking(self) -> Pair:
        """A question: yes or no, or with a question word."""
        tense, subject = (
            self.pick(("present", "past", "past", "future", "perfect")),
            self.subject(simple=True),
        )
        way = self.rng.random()
        if way < 0.35:
            predicate, tense = self.predicate(subject, tense)
            return question(subject, predicate, tense)
        if way < 0.5:
            word = self.pick((("why", "pourquoi"), ("when", "quand"), ("how", "comment")))
            predicate = self.transitive(subject, tense)
            asked = question(subject, predicate, self.suited(predicate.verb, tense))
        elif way < 0.6:
            word, who = ("", ""), NounPhrase("who", "qui")
            predicate, tense = self.predicate(who, tense)
            asked = clause(who, predicate, tense)
        elif way < 0.72:
            word = "where", "où"
            if self.chance(0.5):
                thing = self.noun_phrase("pactok", 0, definite=True)
                be, est = ("are", "sont") if thing.plural else ("is", "est")
                return f"where {be} {thing.en}", f"où {est} {thing.fr}"
            verb = self.pick((*words.INTRANSITIVE, words.LIVE))
            asked = question(subject, Predicate(verb), self.pick(("present", "future")))
        else:
            return self.asking_object(subject, tense)
        return f"{word[0]} {asked[0]}", f"{word[1]} {asked[1]}"

    def asking_object(self, subject: NounPhrase, tense: str) -> Pair:
        """Which, how many or what one saw: the object stands first, and the participle agrees with it."""
        noun = self.pick(BY_KIND[self.pick("pafdtcokvl")])
        verb = self.pick(ACCEPTING[noun.kind])
        plural = not noun.mass and self.chance(0.6)
        forms = english_noun(noun, plural), french_plural(noun.fr) if plural else noun.fr
        moved = NounPhrase(*forms, 5 if plural else 2, plural, noun.feminine)
        way = self.pick(("which", "which", "how many", ""))
        if way:
            self.pairs.append((verb.en, noun.en))
        if not way:
            asked = question(subject, Predicate(verb), self.suited(verb, tense))
            english, french = ("who", "qui") if noun.kind == "p" else ("what", "que")
            return f"{english} {asked[0]}", f"{french} {asked[1]}"
        asked = question(subject, Predicate(verb, moved=moved), self.suited(verb, tense))
        if way == "how many" and plural:
            return f"how many {forms[0]} {asked[0]}", f"combien de {forms[1]} {asked[1]}"
        quel = french_adjective("quel", noun.feminine, plural)
        return f"which {forms[0]} {asked[0]}", f"{quel} {forms[1]} {asked[1]}"

    def command(self) -> Pair:
        negated = self.chance(0.3)
        addressed = self.you
        if self.chance(0.4):
            verb = self.pick(words.GIVING)
            thing, receiver = (
                self.noun_phrase(verb.kinds, 1, verb, negated),
                self.pick((ME, HE, SHE, WE, THEY)),
            )
            clitic = _dative(receiver.object[1])
            english = f"{english_verb(verb, 'base')} {thing.en} to {receiver.object[0]}"
            form, tail = imperative(verb.fr, addressed.person), thing.fr
        else:
            verb, clitic = self.pick([v for v in words.TRANSITIVE if not v.stative]), ""
            of = verb.preposition == "de"
            thing = self.noun_phrase(verb.kinds, 1, verb, negated and not verb.preposition, definite=of)
            english = f"{english_verb(verb, 'base')} {thing.en}"
            form, tail = imperative(verb.fr, addressed.person), f"{verb.preposition} {thing.fr}"
        if negated:
            return f"don't {english}", f"ne {clitic} {form} pas {tail}"
        hyphened = f"{form}-{clitic.replace('me', 'moi')}" if clitic else form
        return english, f"{hyphened} {tail}"

    def sentence(self) -> Sentence:
        """One sentence of any form."""
        form, self.pairs, self.you = self.pick(FORM_DECK), [], YOU
        self.polarity = "" if form in ("asking", "purpose") else None
        name = self.name()
        if form in ("asking", "command", "simple") and self.chance(0.4):
            self.you = replace(YOU, fr="tu", person=1, feminine=name.feminine, object=("you", "te"))
        english, french = getattr(self, form)()
        called = self.you is not YOU and (form == "command" or re.search(r"\b(tu|te)\b", french))
        vocative = f"{name.en}, " if called else ""
        end = {"asking": " ?", "command": " !"}.get(form, ".")
        texts = _written(vocative + english, end.strip()), _written(vocative + contract(french), end)
        return Sentence(*texts, tuple(self.pairs))


def _written(text: str, end: str) -> str:
    text = " ".join(text.split()).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


# ---------------------------------------------------------------- the corpus


def phrasebook(seed: int = 0, train: int = 8000, valid: int = 500, test: int = 500) -> dict[str, list[Pair]]:
    """English and French sentences in three splits that share none, the same for the same arguments.

    Half of the validation and of the test sentences combine two words that training never combines.
    Raises ValueError: a size is negative, or beyond what a bounded number of draws yields.
    """
    return {
        name: [(s.en, s.fr) for s in sentences]
        for name, sentences in compose(seed, train, valid, test).items()
    }


def compose(seed: int, train: int, valid: int, test: int) -> dict[str, list[Sentence]]:
    """The splits of the phrasebook as sentences that know which words they combine."""
    sizes = {"train": train, "valid": valid, "test": test}
    if min(sizes.values()) < 0:
        raise ValueError(f"the size of a split can't be negative: {sizes}")
    composer = Composer(random.Random(seed))
    wanted = {(name, novel): (size + novel) // 2 for name, size in sizes.items() for novel in (True, False)}
    wanted["train", True], wanted["train", False] = 0, train
    splits: dict[str, list[Sentence]] = {name: [] for name in sizes}
    seen_en: set[str] = set()
    seen_fr: set[str] = set()
    for _ in range(DRAWS_PER_SENTENCE * sum(sizes.values()) + 1000):
        if not any(wanted.values()):
            return splits
        sentence = composer.sentence()
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
