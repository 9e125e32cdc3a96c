"""Statements: of one clause, and of several joined by what one does next, why, when, or thinks."""

from dataclasses import replace

from phrasebook import lexicon
from phrasebook.circumstances import draw_destination, draw_place, draw_surface, timed
from phrasebook.clauses import clause, english_clause, french_clause, infinitive
from phrasebook.draft import Draft
from phrasebook.english import english_number
from phrasebook.french import french_number
from phrasebook.noun_phrases import draw_determiner, draw_name, draw_noun_phrase, draw_subject
from phrasebook.phrases import HE, ME, SHE, THEY, NounPhrase, Predicate, bare, with_object
from phrasebook.predicates import (
    doable,
    draw_negation,
    draw_predicate,
    draw_state,
    draw_transitive,
    perhaps_relative,
)
from phrasebook.words import AND, COMMA, NOTHING, Pair, join, word_list

TENSES = word_list("present present past past past perfect future future progressive was used going can must want")
BASIC_TENSES = word_list("present past future")
CHAIN_TENSES = word_list("past past future perfect going want can must")
BECAUSE, BUT, WHEN = Pair("because", "parce que"), Pair("but", "mais"), Pair("when", "quand")
SO, WHILE, IF = Pair("so", "donc"), Pair("while", "pendant que"), Pair("if", "si")
LINKS = (  # with the tenses of the main and of the other clause
    (BECAUSE, "past", "past"),
    (BECAUSE, "present", "present"),
    (BECAUSE, "future", "present"),
    (BUT, "past", "past"),
    (AND, "past", "past"),
    (WHEN, "past", "past"),
    (SO, "past", "past"),
    (WHILE, "was", "was"),
    (IF, "future", "present"),
    (IF, "would", "hypothetical"),
    (BUT, "present", "future"),
)


def simple(draft: Draft) -> Pair:
    """One clause, sometimes with a time."""
    tense, subject = draft.pick(TENSES), draw_subject(draft)
    predicate, tense = draw_predicate(draft, subject, tense)
    statement = clause(subject, predicate, tense)
    takes_time = not predicate.negation and not predicate.adverb.en and not predicate.verb.stative
    if tense in lexicon.TIMES and draft.chance(0.35) and takes_time:
        return timed(draft, tense, statement)
    return statement


def elaborate(draft: Draft) -> Pair:
    """One clause that may hold relative clauses."""
    subject = perhaps_relative(draft, draw_subject(draft))
    return clause(subject, *draw_predicate(draft, subject, draft.pick(TENSES), nested=True))


def description(draft: Draft) -> Pair:
    """A thing, often with a relative clause, and what it is like or where."""
    subject = perhaps_relative(draft, draw_noun_phrase(draft, "pactorkvlwfgd", definite=True))
    tense = draft.pick(("present", "present", "past"))
    assert subject.noun
    if subject.noun.kind in "pacotk" and draft.chance(0.35):
        place = draw_place(draft) if subject.noun.kind == "p" else draw_surface(draft)
        return clause(subject, Predicate(lexicon.BE, *place, negation=draw_negation(draft, tense)), tense)
    return clause(subject, draw_state(draft, subject, tense), tense)


def age(draft: Draft) -> Pair:
    """How old someone is."""
    if draft.chance(0.4):
        subject = draft.pick((ME, draft.you, HE, SHE))
    else:
        subject = draw_name(draft) if draft.chance(0.5) else draw_noun_phrase(draft, "p", definite=True, single=True)
    n = draft.rng.randint(*lexicon.AGES.get(subject.noun.en if subject.noun else "", lexicon.ADULT_AGE))
    years = Pair(f"{english_number(n)} years old", f"{french_number(n)} ans")
    negation = "not" if draft.chance(0.15) else ""
    return clause(subject, Predicate(lexicon.BE_HAVING, *years, negation=negation), draft.pick(BASIC_TENSES))


def indefinite(draft: Draft) -> Pair:
    """Everybody or nobody does something; there is something somewhere."""
    tense = draft.pick(BASIC_TENSES)
    return _everybody(draft, tense) if draft.chance(0.5) else _there_is(draft, tense)


def _everybody(draft: Draft, tense: str) -> Pair:
    subject = NounPhrase("everybody", "tout le monde")
    if draft.chance(0.5):
        subject, draft.polarity = NounPhrase("nobody", "personne ne"), "not"
    predicate, tense = draw_predicate(draft, subject, tense)
    return clause(subject, replace(predicate, negation=""), tense)


def _there_is(draft: Draft, tense: str) -> Pair:
    kind, negated = draft.pick("pactov"), draft.chance(0.2)
    phrase = bare(draft.pick(lexicon.NOUNS_OF[kind]), plural=draft.chance(0.7))
    determiner = "some" if phrase.plural else "a"
    if phrase.plural and not negated:
        determiner = draft.pick(("number", "some", "several", "many"))
    text = join(draw_determiner(draft, determiner, phrase, negated), phrase)
    predicate = Predicate(lexicon.BE_HAVING, *text, clitics=("y",), negation="not" if negated else "")
    place = draw_place(draft) if kind in "pav" else draw_surface(draft)
    there, il = NounPhrase("there", "", phrase.person), NounPhrase("", "il")
    return join(Pair(english_clause(there, predicate, tense), french_clause(il, predicate, tense)), place)


def chain(draft: Draft) -> Pair:
    """One does something with an object and then something else with it."""
    tense, subject = draft.pick(CHAIN_TENSES), draw_subject(draft)
    first = draft.pick([verb for verb in doable(lexicon.TRANSITIVE, subject, "infinitive") if not verb.preposition])
    phrase = draw_noun_phrase(draft, first.kinds, first)
    assert phrase.noun
    fitting = doable(lexicon.VERBS_FOR[phrase.noun.kind], subject, "infinitive")
    second = draft.pick([verb for verb in fitting if verb != first])
    draft.combine(second, phrase.noun)
    head, again = clause(subject, with_object(first, phrase), tense), with_object(second, phrase.resumed())
    way = draft.pick((AND, AND, Pair("before", "avant de"), Pair("without", "sans")))
    return join(head, way, clause(subject.silent(), again, tense) if way == AND else infinitive(subject, again, "ing"))


def purpose(draft: Draft) -> Pair:
    """One goes somewhere to do something."""
    subject, tense = draw_subject(draft), draft.pick(BASIC_TENSES)
    head = clause(subject, Predicate(draft.pick(lexicon.MOTION), *draw_destination(draft)), tense)
    return join(head, Pair("to", "pour"), infinitive(subject, draw_transitive(draft, subject, "infinitive")))


def compound(draft: Draft) -> Pair:
    """Two statements joined, at most one of them a state; the second may resume the subject of the first."""
    link, tense, later = draft.pick(LINKS)
    subject = draw_subject(draft)
    states = link != WHILE
    predicate, suited = draw_predicate(draft, subject, tense, states=states)
    main = clause(subject, predicate, suited)
    if link in (BECAUSE, IF) and tense in BASIC_TENSES and draft.chance(0.25):
        side = draft.pick(lexicon.WEATHER["if" if link == IF else later])
    else:
        states = states and predicate.verb not in (lexicon.BE, lexicon.BE_HAVING)
        other = _next_subject(draft, subject, 0.55)
        side = clause(other, *draw_predicate(draft, other, later, states=states))
    if link in (WHEN, IF, WHILE) and draft.chance(0.4):
        return join(link, side, COMMA, main)
    return join(main, COMMA if link in (BUT, SO) else NOTHING, link, side)


def thought(draft: Draft) -> Pair:
    """Someone thinks, knows, says, hopes that something is so."""
    verb, subject = draft.pick(lexicon.THINKING), draw_subject(draft, definite=True, kinds="p")
    tense = "future" if verb.en == "hope" else draft.pick(BASIC_TENSES)
    other = _next_subject(draft, subject, 0.3)
    side = clause(other, *draw_predicate(draft, other, tense))
    return join(clause(subject, Predicate(verb), "present"), Pair("that", "que"), side)


def _next_subject(draft: Draft, subject: NounPhrase, resumed: float) -> NounPhrase:
    """The subject again or another one; "they" always resumes, so that ils or elles is decided."""
    if draft.chance(resumed):
        return subject.resumed()
    while (other := draw_subject(draft)) is THEY:
        pass
    return other
