"""Whole sentences: the forms they take, whom they address, how they are written."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from phrasebook.draft import Draft
from phrasebook.french import contract
from phrasebook.noun_phrases import draw_name
from phrasebook.phrases import YOU
from phrasebook.questions import asking, command
from phrasebook.statements import (
    age,
    chain,
    compound,
    description,
    elaborate,
    indefinite,
    purpose,
    simple,
    thought,
)
from phrasebook.words import Pair


@dataclass(frozen=True)
class Form:
    compose: Callable[[Draft], Pair]
    share: int  # how often, against the others
    end: str = "."
    calls: bool = False  # it may call someone by name, who is tu then
    negatable: bool = True


FORMS = (
    Form(simple, 9, calls=True),
    Form(elaborate, 18),
    Form(description, 15),
    Form(age, 2, calls=True),
    Form(indefinite, 5),
    Form(chain, 16),
    Form(purpose, 9, negatable=False),
    Form(compound, 31),
    Form(thought, 15),
    Form(asking, 11, "?", calls=True, negatable=False),
    Form(command, 4, "!", calls=True),
)
DECK = tuple(form for form in FORMS for _ in range(form.share))


@dataclass(frozen=True)
class Sentence:
    en: str
    fr: str
    pairs: tuple[tuple[str, str], ...]  # the English (adjective, noun) and (verb, object noun) it combines


def draw_sentence(rng: random.Random) -> Sentence:
    """One sentence of any form."""
    draft = Draft(rng)
    form = draft.pick(DECK)
    if not form.negatable:
        draft.polarity = ""
    name = draw_name(draft)
    if form.calls and draft.chance(0.4):
        draft.you = replace(YOU, fr="tu", person=1, feminine=name.feminine, object=Pair("you", "te"))
    text = form.compose(draft)
    # Only what shows tu calls the name: a command always, anything else where the French has the pronoun.
    familiar = draft.you is not YOU and (form.compose is command or re.search(r"\b(tu|te)\b", text.fr))
    vocative = f"{name.en}, " if familiar else ""
    french_end = form.end if form.end == "." else f" {form.end}"
    return Sentence(
        _written(vocative + text.en, form.end), _written(vocative + contract(text.fr), french_end), tuple(draft.pairs)
    )


def _written(text: str, end: str) -> str:
    text = " ".join(text.split()).replace(" ,", ",")
    return text[0].upper() + text[1:] + end
