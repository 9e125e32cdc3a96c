"""Drawing noun phrases: names, and nouns with determiner, adjectives and owner."""

from dataclasses import replace

from phrasebook import lexicon
from phrasebook.draft import Draft
from phrasebook.english import a_or_an, english_number
from phrasebook.french import french_number, vowel_initial
from phrasebook.phrases import HE, ME, SHE, THEY, WE, NounPhrase, bare
from phrasebook.words import AND, Adjective, Noun, Pair, Verb, join, word_list

SINGULAR = word_list("the the the a a this own own every")
PLURAL = word_list("the the some these own number several many few all")
MASS = word_list("the the some some own")
DEFINITE = ("the", "this", "these", "own")
AFFIRMATIVE = ("several", "few", "every")  # not of an object that the verb denies
QUANTITIES = {
    "several": Pair("several", "plusieurs"),
    "many": Pair("many", "beaucoup de"),
    "few": Pair("a few", "quelques"),
    "every": Pair("every", "chaque"),
}
OWNERS = (
    ("my", "mon ma mes"),
    ("his", "son sa ses"),
    ("her", "son sa ses"),
    ("our", "notre notre nos"),
    ("their", "leur leur leurs"),
)


def draw_subject(draft: Draft, definite: bool = False, kinds: str = "pppa") -> NounPhrase:
    """Who does something: a pronoun, a name or two, or by their kinds a person or an animal."""
    way = draft.rng.random()
    if way < 0.27:
        return draft.pick((ME, draft.you, HE, SHE, WE, THEY))
    if way < 0.45:
        return draw_name(draft)
    if way < 0.51:
        one, other = draw_name(draft), draw_name(draft)
        if one.en != other.en:
            both = join(one, AND, other)
            return NounPhrase(*both, 5, True, one.feminine and other.feminine)
    return draw_noun_phrase(draft, kinds, definite=definite)


def draw_name(draft: Draft) -> NounPhrase:
    """A first name."""
    feminine = draft.chance(0.5)
    name = draft.pick(lexicon.WOMEN if feminine else lexicon.MEN)
    return NounPhrase(name, name, feminine=feminine)


def draw_noun_phrase(
    draft: Draft,
    kinds: str,
    verb: Verb | None = None,
    negated: bool = False,
    definite: bool = False,
    single: bool = False,
) -> NounPhrase:
    """A noun of one of the kinds with its determiner and adjectives, the object of the verb if there is one."""
    noun = draft.pick(lexicon.NOUNS_OF[draft.pick(kinds)])
    if verb:
        draft.combine(verb, noun)
    phrase = bare(noun, plural=not (noun.mass or single) and draft.chance(0.4))
    adjectives = _adjectives(draft, noun)
    for adjective in reversed(adjectives):
        phrase = _qualified(phrase, adjective)
    options = MASS if noun.mass else PLURAL if phrase.plural else SINGULAR
    if definite or negated:
        options = [option for option in options if (option in DEFINITE if definite else option not in AFFIRMATIVE)]
    kind = draft.pick(options)
    if kind == "own" and draft.chance(0.5):
        text = _possessed(draft, phrase)
    else:
        adjective_first = any(adjective.before for adjective in adjectives)
        any_such = negated and not (verb and verb.preposition)
        text = join(draw_determiner(draft, kind, phrase, any_such, adjective_first), phrase)
    return replace(phrase, en=text.en, fr=text.fr, determiner=kind)


def _adjectives(draft: Draft, noun: Noun) -> list[Adjective]:
    """None, one, or two on different sides of the French noun, the one before it first."""
    if not draft.chance(0.42):
        return []
    chosen = [draft.pick(lexicon.ADJECTIVES_FOR[noun.kind])]
    second = draft.pick(lexicon.ADJECTIVES_FOR[noun.kind])
    if draft.chance(0.25) and second.before != chosen[0].before:
        chosen.append(second)
        chosen.sort(key=lambda adjective: not adjective.before)
    for adjective in chosen:
        draft.combine(adjective, noun)
    return chosen


def _qualified(phrase: NounPhrase, adjective: Adjective) -> NounPhrase:
    french = f"{phrase.fr} {phrase.agreeing(adjective.fr)}"
    if adjective.before:
        french = f"{phrase.agreeing(adjective.fr, phrase.fr)} {phrase.fr}"
    return replace(phrase, en=f"{adjective.en} {phrase.en}", fr=french, topics=(*phrase.topics, adjective.topic))


def draw_determiner(draft: Draft, kind: str, phrase: NounPhrase, negated: bool, adjective_first: bool = False) -> Pair:
    """What stands before the phrase: an article, a demonstrative, an owner, a number or a quantity."""
    vowel = vowel_initial(phrase.fr)
    match kind:
        case "the":
            return Pair("the", _agreeing(phrase, "LE", "LA", "LES"))
        case "a":
            return Pair(a_or_an(phrase.en), "de" if negated else phrase.agreeing("un"))
        case "some":
            if negated:
                return Pair("any", "de")
            if phrase.plural and adjective_first:
                return Pair("some", "de")
            return Pair("some", _agreeing(phrase, "de LE", "de LA", "des"))
        case "this" | "these":
            return Pair(kind, _agreeing(phrase, "cet" if vowel else "ce", "cette", "ces"))
        case "own":
            english, french = draft.pick(OWNERS)
            mon, ma, mes = french.split()
            return Pair(english, _agreeing(phrase, mon, mon if vowel else ma, mes))
        case "number":
            n = draft.rng.randint(2, 12) if draft.chance(0.5) else draft.rng.randint(13, 999)
            return Pair(english_number(n), french_number(n, phrase.feminine))
        case "all":
            return Pair("all the", f"{'toutes' if phrase.feminine else 'tous'} LES")
    return QUANTITIES[kind]


def _agreeing(phrase: NounPhrase, masculine: str, feminine: str, plural: str) -> str:
    return plural if phrase.plural else feminine if phrase.feminine else masculine


def _possessed(draft: Draft, phrase: NounPhrase) -> Pair:
    """Paul's hat, the nurse's hat."""
    owner = draw_name(draft) if draft.chance(0.4) else draw_noun_phrase(draft, "p", definite=True)
    ending = "'" if owner.plural and owner.en.endswith("s") else "'s"
    article = _agreeing(phrase, "LE", "LA", "LES")
    return Pair(f"{owner.en}{ending} {phrase.en}", f"{article} {phrase.fr} de {owner.fr}")
