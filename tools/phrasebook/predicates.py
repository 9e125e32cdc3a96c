"""Drawing predicates, each with a tense that its verb takes, and the relative clauses made of predicates."""

from collections.abc import Iterable
from dataclasses import replace

from phrasebook import lexicon
from phrasebook.circumstances import draw_destination, draw_place
from phrasebook.clauses import clause
from phrasebook.draft import Draft
from phrasebook.english import english_comparative
from phrasebook.noun_phrases import draw_name, draw_noun_phrase, draw_subject
from phrasebook.phrases import HE, ME, SHE, THEY, WE, NounPhrase, Predicate, with_object
from phrasebook.words import NOTHING, Adjective, Pair, Verb, join

# the nearest tense that a stative verb has, and that being something has
STATIVE_TENSES = {"progressive": "present", "was": "past", "perfect": "past", "going": "future"}
STATE_TENSES = {"was": "past", "perfect": "past"} | dict.fromkeys(
    ("progressive", "going", "can", "must", "want"), "present"
)
ACTION_TENSES = (*STATIVE_TENSES, "can", "must", "want", "infinitive")
SPEAKERS, ADDRESSEES = (0, 3), (1, 4)  # grammatical persons
OPEN_TO_RELATIVES = ("the", "this", "these", "a")  # determiners


def draw_predicate(
    draft: Draft, subject: NounPhrase, tense: str, nested: bool = False, states: bool = True
) -> tuple[Predicate, str]:
    """A predicate that may be a state, and the tense it takes; a nested one may hold a relative clause."""
    way = draft.rng.random() * (1 if states else 0.82)
    if way < 0.46:
        predicate = draw_transitive(draft, subject, tense, nested)
        if not nested and draft.chance(0.35):
            text = join(predicate, draw_place(draft))
            predicate = replace(predicate, en=text.en, fr=text.fr)
    elif way < 0.58 and subject.human:
        predicate = _giving(draft, subject, tense)
    elif way < 0.82:
        predicate = _moving(draft, subject, tense)
    else:
        tense = STATE_TENSES.get(tense, tense)
        predicate = draw_state(draft, subject, tense)
    return predicate, STATIVE_TENSES.get(tense, tense) if predicate.verb.stative else tense


def doable(verbs: Iterable[Verb], subject: NounPhrase, tense: str) -> list[Verb]:
    """The verbs that have such a subject in that tense, which may be "infinitive"."""
    active = tense in ACTION_TENSES
    return [verb for verb in verbs if (subject.human or verb.animal) and not (active and verb.stative)]


def draw_transitive(draft: Draft, subject: NounPhrase, tense: str, nested: bool = False) -> Predicate:
    """To do something to someone or something."""
    verb = draft.pick(doable(lexicon.TRANSITIVE, subject, tense))
    negation = draw_negation(draft, tense)
    takes_anything = negation == "not" and draft.polarity is None and tense != "progressive" and not verb.preposition
    if "p" in verb.kinds and verb.preposition != "de" and draft.chance(0.3):
        predicate = with_object(verb, _other_pronoun(draft, subject), negation)
    elif takes_anything and draft.chance(0.2):
        predicate = Predicate(verb, negation="anyone" if "p" in verb.kinds else "anything")
    else:
        definite = verb.preposition == "de" or (verb.stative and verb.en not in ("have", "own"))
        phrase = draw_noun_phrase(draft, verb.kinds, verb, bool(negation), definite)
        predicate = with_object(verb, perhaps_relative(draft, phrase) if nested else phrase, negation)
    return replace(predicate, adverb=_adverb(draft, tense, predicate.negation))


def _giving(draft: Draft, subject: NounPhrase, tense: str) -> Predicate:
    """To give something to someone, or someone something."""
    verb, negation = draft.pick(lexicon.GIVING), draw_negation(draft, tense)
    thing = draw_noun_phrase(draft, verb.kinds, verb, bool(negation))
    if draft.chance(0.5):
        receiver = _other_pronoun(draft, subject)
        them = receiver.object.en
        english = f"{thing.en} to {them}" if verb.en == "explain" else f"{them} {thing.en}"
        return Predicate(verb, english, thing.fr, (receiver.dative,), negation=negation)
    receiver = draw_name(draft) if draft.chance(0.3) else draw_noun_phrase(draft, "p", definite=True)
    return Predicate(verb, *join(thing, Pair("to", "à"), receiver), negation=negation)


def draw_state(draft: Draft, subject: NounPhrase, tense: str) -> Predicate:
    """To be something: an adjective, compared or not; hungry."""
    negation, way = draw_negation(draft, tense), draft.rng.random()
    if subject.human and way < 0.2:
        return Predicate(lexicon.BE_HAVING, *draft.pick(lexicon.STATES), negation=negation)
    kind = subject.noun.kind if subject.noun else "p"
    adjective = draft.pick([a for a in lexicon.ADJECTIVES_FOR[kind] if a.topic not in subject.topics])
    if subject.noun:
        draft.combine(adjective, subject.noun)
    text = Pair(adjective.en, subject.agreeing(adjective.fr))
    if adjective.comparison and way < 0.55 and negation != "no longer":
        text = _compared(draft, adjective, subject, kind)
    elif adjective.comparison and way < 0.75:
        text = join(draft.pick((Pair("very", "très"), Pair("too", "trop"))), text)
    return Predicate(lexicon.BE, *text, negation=negation)


def _compared(draft: Draft, adjective: Adjective, subject: NounPhrase, kind: str) -> Pair:
    other = draw_name(draft) if kind == "p" and draft.chance(0.4) else draw_noun_phrase(draft, kind, definite=True)
    french = subject.agreeing(adjective.fr)
    if draft.chance(0.3):
        return Pair(f"as {adjective.en} as {other.en}", f"aussi {french} que {other.fr}")
    more = subject.agreeing("meilleur") if adjective.en == "good" else f"plus {french}"
    return Pair(f"{english_comparative(adjective)} than {other.en}", f"{more} que {other.fr}")


def _moving(draft: Draft, subject: NounPhrase, tense: str) -> Predicate:
    """To do something somewhere, or to go there."""
    negation, way = draw_negation(draft, tense), draft.rng.random()
    if way < 0.4:
        return Predicate(draft.pick(lexicon.MOTION), *draw_destination(draft), negation=negation)
    if way < 0.5:
        return Predicate(lexicon.LIVE, *draw_place(draft), negation=negation)
    if way < 0.65:
        return Predicate(draft.pick(doable(lexicon.LEAVING, subject, tense)), negation=negation)
    verb = draft.pick(doable(lexicon.INTRANSITIVE, subject, tense))
    unfit = ("" if subject.plural else "t") + ("b" if negation else "")
    manners = [kind for kind in verb.kinds if kind not in unfit]
    if manners and draft.chance(0.35):
        return with_manner(verb, draft.pick(manners), negation)
    return Predicate(verb, *draw_place(draft), negation=negation, adverb=_adverb(draft, tense, negation))


def with_manner(verb: Verb, kind: str, negation: str = "") -> Predicate:
    """The verb with a manner, which French may put earlier."""
    short, long = lexicon.SHORT_MANNERS.get(kind, NOTHING), lexicon.LONG_MANNERS.get(kind, NOTHING)
    return Predicate(verb, short.en or long.en, long.fr, negation=negation, adverb=Pair("", short.fr))


def draw_negation(draft: Draft, tense: str) -> str:
    if draft.polarity is not None:
        return draft.polarity
    if not draft.chance(0.16) or tense in ("used", "was", "would", "hypothetical"):
        return ""
    if tense in ("present", "future", "can", "want"):
        return draft.pick(("not", "not", "not", "never", "no longer"))
    return "never" if tense == "perfect" and draft.chance(0.5) else "not"


def _adverb(draft: Draft, tense: str, negation: str) -> Pair:
    if negation or not draft.chance(0.12):
        return NOTHING
    if tense == "perfect":
        return Pair("already", "déjà")
    return draft.pick(lexicon.FREQUENCIES) if tense in ("present", "past", "future") else NOTHING


def _other_pronoun(draft: Draft, subject: NounPhrase) -> NounPhrase:
    """A person that is not the subject: "I see me" is no sentence."""
    same = next((persons for persons in (SPEAKERS, ADDRESSEES) if subject.person in persons), ())
    pronouns = (ME, WE, draft.you, HE, SHE, THEY)
    return draft.pick([pronoun for pronoun in pronouns if pronoun.person not in same])


def perhaps_relative(draft: Draft, phrase: NounPhrase) -> NounPhrase:
    """The noun phrase, sometimes with a relative clause."""
    if phrase.determiner not in OPEN_TO_RELATIVES or not draft.chance(0.3):
        return phrase
    text = join(phrase, _relative_clause(draft, phrase))
    return replace(phrase, en=text.en, fr=text.fr)


def _relative_clause(draft: Draft, head: NounPhrase) -> Pair:
    """The head is the subject of the clause, its object or the place where something happens."""
    assert head.noun
    way = draft.rng.random()
    tense = draft.pick(("present", "past", "past", "future", "was"))
    if head.noun.kind == "l" and way < 0.5:
        subject = draw_subject(draft, definite=True)
        verb = draft.pick(doable(lexicon.INTRANSITIVE, subject, tense))
        return join(Pair("where", "où"), clause(subject, Predicate(verb), tense))
    if head.noun.kind in "pa" and way < 0.6:
        who = Pair("who" if head.human else "that", "qui")
        return join(who, clause(head.silent(), draw_transitive(draft, head, tense), tense))
    subject = draw_subject(draft, definite=True)
    verb = draft.pick(doable(lexicon.VERBS_FOR[head.noun.kind], subject, tense))
    draft.combine(verb, head.noun)
    return join(Pair("that", "que"), clause(subject, Predicate(verb, moved=head), tense))
