"""English inflection: plurals, comparatives, verb forms, articles and numbers in words."""

import re
from functools import cache

from phrasebook.words import NBSP, Adjective, Noun, Verb, word_list

_PLURALS = {
    "man": "men", "woman": "women", "child": "children", "wife": "wives", "mouse": "mice", "wolf": "wolves",
    "goose": "geese", "knife": "knives", "scarf": "scarves", "shelf": "shelves", "tomato": "tomatoes", "hero": "heroes",
}  # fmt: skip
_COMPARATIVES = {"good": "better", "bad": "worse"}


def _add_s(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh|go|do)$", word) else "s")


def _add_vowel(stem: str, ending: str) -> str:
    """The stem before -ed, -er or -ing: it may lose an e, change a y or double its consonant."""
    if stem.endswith("ie") and ending == "ing":
        return stem[:-2] + "ying"
    if stem.endswith("e") and not stem.endswith("ee"):
        return stem[:-1] + ending
    if re.search(r"[^aeiou]y$", stem) and ending != "ing":
        return stem[:-1] + "i" + ending
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]|forget", stem):
        stem += stem[-1]
    return stem + ending


def english_noun(noun: Noun, plural: bool) -> str:
    return _PLURALS.get(noun.en, _add_s(noun.en)) if plural else noun.en


def english_comparative(adjective: Adjective) -> str:
    if adjective.comparison == "more":
        return f"more {adjective.en}"
    return _COMPARATIVES.get(adjective.en) or _add_vowel(adjective.en, "er")


@cache
def english_verb(verb: Verb, form: str) -> str:
    """The "base", "s", "past", "participle" or "ing" form; a particle ("look at") keeps its place."""
    head, _, particle = verb.en.partition(NBSP)
    if verb.en == "be":
        return {"base": "be", "participle": "been", "ing": "being"}[form]
    if form in ("past", "participle") and (irregular := getattr(verb, form)):
        return str(irregular)
    match form:
        case "s":
            head = "has" if head == "have" else _add_s(head)
        case "ing":
            head = _add_vowel(head, "ing")
        case "past" | "participle":
            head = _add_vowel(head, "ed")
    return f"{head} {particle}" if particle else head


def a_or_an(word: str) -> str:
    vowel = word[0].lower() in "aeiou" and not word.startswith("useful")
    return "an" if vowel or word.startswith("honest") else "a"


_UNITS = word_list(
    "zero one two three four five six seven eight nine "
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = word_list("_ _ twenty thirty forty fifty sixty seventy eighty ninety")


def english_number(n: int) -> str:
    """A cardinal from 1 to 999 in words."""
    hundreds, rest = divmod(n, 100)
    small = _UNITS[rest] if rest < 20 else _TENS[rest // 10] + (f"-{_UNITS[rest % 10]}" if rest % 10 else "")
    if not hundreds:
        return small
    return f"{_UNITS[hundreds]} hundred" + (f" and {small}" if rest else "")
