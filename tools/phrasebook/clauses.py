"""A subject and a predicate become a clause: agreement, word order, negation and tense in both languages.

A tense is a name that both languages realise: present, past, perfect, future, going (to), progressive, was
(past progressive), used (to), would, hypothetical (after if), can, must and want (to).
"""

from phrasebook.english import english_verb
from phrasebook.french import conjugate, past_participle, reflexive, takes_être
from phrasebook.phrases import NounPhrase, Predicate
from phrasebook.words import Pair, Verb, word_list

NEGATIONS = {"": "", "not": "pas", "never": "jamais", "no longer": "plus", "anything": "rien", "anyone": "personne"}
CONTRACTED = {"am": "am not", "will": "won't", "can": "can't"}
PERIPHRASES = {"going": "aller", "can": "pouvoir", "must": "devoir", "want": "vouloir", "progressive": "être"}
SIMPLE_TENSES = {
    "present": "present",
    "past": "imperfect",
    "used": "imperfect",
    "was": "imperfect",
    "hypothetical": "imperfect",
    "future": "future",
    "would": "conditional",
}
CLITIC_ORDER = {"le": 1, "la": 1, "les": 1, "lui": 2, "leur": 2}  # after all others


def clause(subject: NounPhrase, predicate: Predicate, tense: str) -> Pair:
    """A statement."""
    return Pair(english_clause(subject, predicate, tense), french_clause(subject, predicate, tense))


def question(subject: NounPhrase, predicate: Predicate, tense: str) -> Pair:
    """A question without its question word: inversion of a pronoun, est-ce que before all else."""
    inverts = subject.pronoun and subject.person != 0
    french = french_clause(subject, predicate, tense, inverts)
    return Pair(english_clause(subject, predicate, tense, True), french if inverts else f"est-ce que {french}")


def infinitive(subject: NounPhrase, predicate: Predicate, form: str = "base") -> Pair:
    """The predicate without a subject of its own: the French infinitive, the English "base" or "ing" form."""
    french = predicate.verb.fr.removeprefix("se ")
    return Pair(
        f"{english_verb(predicate.verb, form)} {predicate.en}",
        f"{_clitics(predicate, subject.person)} {french} {predicate.fr}",
    )


def english_clause(subject: NounPhrase, predicate: Predicate, tense: str, inverted: bool = False) -> str:
    contracted = predicate.negation in ("not", "anything", "anyone")
    auxiliary, rest = _english_group(predicate.verb, tense, subject.person, inverted or contracted)
    if contracted:
        auxiliary = CONTRACTED.get(auxiliary, auxiliary + "n't")
    late = predicate.negation if predicate.negation in ("anything", "anyone") else ""
    early = "" if contracted else predicate.negation
    order = (auxiliary, subject.en) if inverted else (subject.en, auxiliary)
    return " ".join((*order, early, predicate.adverb.en, rest, late, predicate.en))


def _english_group(verb: Verb, tense: str, person: int, auxiliary: bool) -> tuple[str, str]:
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
            finite, plain, do = f"used to {base}", f"use to {base}", "did"
        case "want":
            finite, plain = f"{'wants' if third else 'want'} to {base}", f"want to {base}"
        case "present":
            finite, plain = english_verb(verb, "s") if third else base, base
        case _:
            finite, plain, do = english_verb(verb, "past"), base, "did"
    return (do, plain) if auxiliary else ("", finite)


def french_clause(subject: NounPhrase, predicate: Predicate, tense: str, inverted: bool = False) -> str:
    verb, person = predicate.verb, subject.person
    before_finite, link, inner = _clitics(predicate, person), "", ""
    if tense == "perfect" or (tense == "past" and not verb.stative):
        être = takes_être(verb.fr)
        finite = conjugate("être" if être else "avoir", "present", person)
        agreeing = subject if être else predicate.moved
        inner = past_participle(verb.fr)
        inner = agreeing.agreeing(inner) if agreeing else inner
    elif tense in PERIPHRASES:
        finite = conjugate(PERIPHRASES[tense], "present", person)
        link = "en train de" if tense == "progressive" else ""
        before_finite, inner = "", f"{before_finite} {verb.fr.removeprefix('se ')}"
    else:
        finite = conjugate(verb.fr, SIMPLE_TENSES[tense], person)
    if inverted:
        finite += ("-t-" if person == 2 and finite[-1] in "aec" else "-") + subject.fr
    ne, negation = "ne" if predicate.negation else "", NEGATIONS[predicate.negation]
    early, late = ("", negation) if negation == "personne" else (negation, "")
    start = "" if inverted else subject.fr
    return " ".join((start, ne, before_finite, finite, early, link, predicate.adverb.fr, inner, late, predicate.fr))


def _clitics(predicate: Predicate, person: int) -> str:
    own = (word_list("me te se nous vous se")[person],) if reflexive(predicate.verb.fr) else ()
    return " ".join(sorted(own + predicate.clitics, key=lambda clitic: CLITIC_ORDER.get(clitic, 0)))
