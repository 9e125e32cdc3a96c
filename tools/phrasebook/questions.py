"""Questions and commands."""

from phrasebook import lexicon
from phrasebook.clauses import clause, question
from phrasebook.draft import Draft
from phrasebook.english import english_verb
from phrasebook.french import imperative
from phrasebook.noun_phrases import draw_noun_phrase, draw_subject
from phrasebook.phrases import HE, ME, SHE, THEY, WE, NounPhrase, Predicate, bare
from phrasebook.predicates import doable, draw_predicate, draw_transitive, perhaps_relative
from phrasebook.words import Pair, join, pairs

ASKED_TENSES = ("present", "past", "past", "future", "perfect")
ADVERBS = pairs("why|pourquoi, when|quand, how|comment")
WHERE = Pair("where", "où")


def asking(draft: Draft) -> Pair:
    """A question: yes or no, or with a question word."""
    tense, subject = draft.pick(ASKED_TENSES), draw_subject(draft, definite=True)
    way = draft.rng.random()
    if way < 0.35:
        predicate, tense = draw_predicate(draft, subject, tense)
        return question(subject, predicate, tense)
    if way < 0.5:
        adverb = draft.pick(ADVERBS)
        predicate = draw_transitive(draft, subject, tense)
        return join(adverb, question(subject, predicate, tense))
    if way < 0.6:
        who = NounPhrase("who", "qui")
        predicate, tense = draw_predicate(draft, who, tense)
        return clause(who, predicate, tense)
    return _asking_place(draft, subject) if way < 0.72 else _asking_object(draft, subject, tense)


def _asking_place(draft: Draft, subject: NounPhrase) -> Pair:
    """Where something is, or where one does something."""
    if draft.chance(0.5):
        thing = perhaps_relative(draft, draw_noun_phrase(draft, "pactok", definite=True))
        return join(WHERE, Pair("are", "sont") if thing.plural else Pair("is", "est"), thing)
    tense = draft.pick(("present", "future"))
    verb = draft.pick((*doable(lexicon.INTRANSITIVE, subject, tense), lexicon.LIVE))
    return join(WHERE, question(subject, Predicate(verb), tense))


def _asking_object(draft: Draft, subject: NounPhrase, tense: str) -> Pair:
    """Which, how many or what one saw: the object stands first, and the participle agrees with it."""
    noun = draft.pick(lexicon.NOUNS_OF[draft.pick("pafdtcokvl")])
    verb = draft.pick(doable(lexicon.VERBS_FOR[noun.kind], subject, tense))
    thing = bare(noun, plural=not noun.mass and draft.chance(0.6))
    word = draft.pick(("which", "which", "how many", ""))
    if not word:
        what = Pair("who", "qui") if noun.kind == "p" else Pair("what", "que")
        return join(what, question(subject, Predicate(verb), tense))
    draft.combine(verb, noun)
    many = word == "how many" and thing.plural
    which = Pair("how many", "combien de") if many else Pair("which", thing.agreeing("quel"))
    return join(which, thing, question(subject, Predicate(verb, moved=thing), tense))


def command(draft: Draft) -> Pair:
    """Do something, or give something to someone, or don't."""
    negated = draft.chance(0.3)
    if draft.chance(0.4):
        verb = draft.pick(lexicon.GIVING)
        thing = draw_noun_phrase(draft, verb.kinds, verb, negated)
        receiver = draft.pick((ME, HE, SHE, WE, THEY))
        rest, clitic = Pair(f"{thing.en} to {receiver.object.en}", thing.fr), receiver.dative
    else:
        verb = draft.pick(doable(lexicon.TRANSITIVE, draft.you, "infinitive"))
        thing = draw_noun_phrase(draft, verb.kinds, verb, negated, definite=verb.preposition == "de")
        rest, clitic = join(Pair("", verb.preposition), thing), ""
    base, form = english_verb(verb, "base"), imperative(verb.fr, draft.you.person)
    if negated:
        return join(Pair(f"don't {base}", f"ne {clitic} {form} pas"), rest)
    return join(Pair(base, f"{form}-{clitic.replace('me', 'moi')}" if clitic else form), rest)
