"""Drawing where and when something happens."""

from phrasebook import lexicon
from phrasebook.draft import Draft
from phrasebook.english import english_number
from phrasebook.french import french_number, french_plural
from phrasebook.noun_phrases import draw_noun_phrase
from phrasebook.phrases import NounPhrase
from phrasebook.words import COMMA, Pair, join


def draw_place(draft: Draft) -> Pair:
    """In a town, inside or outside a building, about a landmark."""
    way = draft.rng.random()
    if way < 0.25:
        return draft.pick(lexicon.TOWNS)
    if way < 0.45:
        return join(draft.pick(lexicon.NEARBY), draw_noun_phrase(draft, "w", definite=True, single=True))
    where, building = _building(draft)
    return join(where if way < 0.72 else draft.pick(lexicon.AROUND), building)


def draw_surface(draft: Draft) -> Pair:
    """On or about a piece of furniture."""
    return join(draft.pick(lexicon.SURFACES), draw_noun_phrase(draft, "r", definite=True))


def draw_destination(draft: Draft) -> Pair:
    if draft.chance(0.3):
        return draft.pick(lexicon.DESTINATIONS)
    where, building = _building(draft)
    return join(Pair("to", where.fr), building)


def _building(draft: Draft) -> tuple[Pair, NounPhrase]:
    """A place one enters, with its prepositions."""
    phrase = draw_noun_phrase(draft, "l", definite=True, single=True)
    assert phrase.noun
    return phrase.noun.where, phrase


def timed(draft: Draft, tense: str, statement: Pair) -> Pair:
    """The statement with a time before or after it; the tense is one of lexicon.TIMES."""
    time = draft.pick(lexicon.TIMES[tense])
    if draft.chance(0.35) and tense in ("past", "present", "future"):
        time = _calendar_time(draft, tense)
    return join(time, COMMA, statement) if draft.chance(0.3) else join(statement, time)


def _calendar_time(draft: Draft, tense: str) -> Pair:
    """Six days ago, on Mondays, on March 12."""
    if tense == "past" and draft.chance(0.6):
        n, unit = draft.rng.randint(2, 20), draft.pick(lexicon.UNITS)
        return Pair(f"{english_number(n)} {unit.en}s ago", f"il y a {french_number(n)} {french_plural(unit.fr)}")
    if tense == "present":
        day = draft.pick(lexicon.DAYS)
        return Pair(f"on {day.en}s", f"le {day.fr}")
    month, n = draft.pick(lexicon.MONTHS), draft.rng.randint(2, 28)
    return Pair(f"on {month.en} {n}", f"le {n} {month.fr}")
