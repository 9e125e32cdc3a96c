"""French inflection: plurals, feminines, numbers in words, conjugation, elision and contraction."""

import re
from functools import cache

from phrasebook.words import word_list

# --- elision and contraction

_VOWELS = "aeiouyàâéèêëîïôùûœ"
_ASPIRATED = tuple(word_list("héros hache hibou haricot homard hamster harpe honteu huit onz hors"))
_ELIDING = frozenset(word_list("le la de je ne que me te se LE LA jusque"))
_CONTRACTIONS = {("de", "LE"): "du", ("de", "LES"): "des", ("à", "LE"): "au", ("à", "LES"): "aux"}


def vowel_initial(word: str) -> bool:
    """Whether the words before it elide: a vowel or a mute h."""
    word = word.lower()
    return word[0] in _VOWELS + "h" and not word.startswith(_ASPIRATED)


def contract(words: str) -> str:
    """Elide and contract from the last word to the first; only articles, capital LE, LA, LES, contract."""
    done: list[str] = []
    for word in reversed(words.split()):
        following = done[-1] if done else ""
        if word in _ELIDING and following and vowel_initial(following):
            done[-1] = word.lower()[:-1] + "'" + following
        elif word == "si" and re.match(r"ils?\b", following):
            done[-1] = "s'" + following
        elif (word, following) in _CONTRACTIONS:
            done[-1] = _CONTRACTIONS[word, following]
        else:
            done.append(word)
    return re.sub(r"\b(LE|LA|LES)\b", lambda match: match[0].lower(), " ".join(reversed(done)))


# --- nouns, adjectives, numbers

_FEMININES = {
    "beau": "belle", "nouveau": "nouvelle", "vieux": "vieille", "blanc": "blanche", "jaloux": "jalouse", "bon": "bonne",
    "frais": "fraîche", "épais": "épaisse", "violet": "violette", "inquiet": "inquiète", "public": "publique",
    "long": "longue", "quel": "quelle",
}  # fmt: skip
_BEFORE_VOWEL = {"beau": "bel", "nouveau": "nouvel", "vieux": "vieil"}


def french_plural(word: str) -> str:
    if word[-1] in "sxz":
        return word
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + ("x" if word.endswith(("au", "eu", "bijou", "hibou")) and word != "bleu" else "s")


def french_adjective(word: str, feminine: bool, plural: bool, following: str = "") -> str:
    """An adjective or participle; `following` is the word after it, for bel, nouvel, vieil."""
    if feminine:
        word = _FEMININES.get(word) or _regular_feminine(word)
    elif not plural and following and vowel_initial(following):
        word = _BEFORE_VOWEL.get(word, word)
    return french_plural(word) if plural else word


def _regular_feminine(word: str) -> str:
    for masculine, feminine in (("eux", "euse"), ("er", "ère"), ("if", "ive"), ("ien", "ienne"), ("e", "e")):
        if word.endswith(masculine):
            return word.removesuffix(masculine) + feminine
    return word + "e"


_UNITÉS = word_list(
    "zéro un deux trois quatre cinq six sept huit neuf "
    "dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf"
)
_DIZAINES = word_list("_ _ vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt")


def french_number(n: int, feminine: bool = False) -> str:
    """A cardinal from 1 to 999 in words; one agrees in gender."""
    hundreds, rest = divmod(n, 100)
    if hundreds:
        cent = "cent" if hundreds == 1 else f"{_UNITÉS[hundreds]} cent" + ("" if rest else "s")
        return f"{cent} {french_number(rest, feminine)}" if rest else cent
    if rest < 20:
        words = _UNITÉS[rest]
    else:
        decade = rest // 10
        unit = rest - 10 * decade + (10 if decade in (7, 9) else 0)
        link = " et " if unit in (1, 11) and decade < 8 else "-"
        words = _DIZAINES[decade] + (link + _UNITÉS[unit] if unit else "s" if decade == 8 else "")
    return words + "e" if feminine and re.search(r"\bun$", words) else words


# --- verbs

# infinitive, or the end of a family of infinitives: present; future stem; past participle
_IRREGULAR = """
être: suis es est sommes êtes sont; ser; été
avoir: ai as a avons avez ont; aur; eu
aller: vais vas va allons allez vont; ir; allé
pouvoir: peux peux peut pouvons pouvez peuvent; pourr; pu
devoir: dois dois doit devons devez doivent; devr; dû
vouloir: veux veux veut voulons voulez veulent; voudr; voulu
savoir: sais sais sait savons savez savent; saur; su
venir: viens viens vient venons venez viennent; viendr; venu
prendre: prends prends prend prenons prenez prennent; prendr; pris
mettre: mets mets met mettons mettez mettent; mettr; mis
voir: vois vois voit voyons voyez voient; verr; vu
recevoir: reçois reçois reçoit recevons recevez reçoivent; recevr; reçu
croire: crois crois croit croyons croyez croient; croir; cru
boire: bois bois boit buvons buvez boivent; boir; bu
lire: lis lis lit lisons lisez lisent; lir; lu
dire: dis dis dit disons dites disent; dir; dit
écrire: écris écris écrit écrivons écrivez écrivent; écrir; écrit
rire: ris ris rit rions riez rient; rir; ri
uire: uis uis uit uisons uisez uisent; uir; uit
connaître: connais connais connaît connaissons connaissez connaissent; connaîtr; connu
ouvrir: ouvre ouvres ouvre ouvrons ouvrez ouvrent; ouvrir; ouvert
offrir: offre offres offre offrons offrez offrent; offrir; offert
suivre: suis suis suit suivons suivez suivent; suivr; suivi
courir: cours cours court courons courez courent; courr; couru
dormir: dors dors dort dormons dormez dorment; dormir; dormi
tir: s s t tons tez tent; tir; ti
peindre: peins peins peint peignons peignez peignent; peindr; peint
envoyer: envoie envoies envoie envoyons envoyez envoient; enverr; envoyé
"""
_FAMILIES = {name: forms.split("; ") for name, forms in (line.split(": ") for line in _IRREGULAR.strip().splitlines())}
_LONGEST_FIRST = sorted(_FAMILIES, key=len, reverse=True)
_ENDINGS = {"er": "e es e ons ez ent", "ir": "is is it issons issez issent", "re": "s s _ ons ez ent"}
_FUTURE = word_list("ai as a ons ez ont")
_IMPERFECT = word_list("ais ais ait ions iez aient")
_TAKES_ÊTRE = frozenset(word_list("aller venir revenir arriver partir sortir rester tomber retourner"))


def reflexive(infinitive: str) -> bool:
    return infinitive.startswith("se ")


def takes_être(infinitive: str) -> bool:
    return infinitive in _TAKES_ÊTRE or reflexive(infinitive)


@cache
def principal_parts(infinitive: str) -> tuple[list[str], str, str]:
    """The six present forms, the future stem and the past participle."""
    for family in _LONGEST_FIRST:
        if infinitive.endswith(family):
            prefix = infinitive.removesuffix(family)
            present, future, participle = _FAMILIES[family]
            return [prefix + form for form in present.split()], prefix + future, prefix + participle
    stem, group = infinitive[:-2], infinitive[-2:]
    stems = [stem] * 6
    future = infinitive.removesuffix("e")
    if group == "er":
        strong = _strong(stem)
        stems = [strong, strong, strong, _soft(stem), stem, strong]
        if "é" + stem[-1] != stem[-2:]:  # préférer keeps its é: préférera
            future = strong + "er"
    present_forms = [s + e.strip("_") for s, e in zip(stems, _ENDINGS[group].split(), strict=True)]
    return present_forms, future, stem + {"er": "é", "ir": "i", "re": "u"}[group]


def _strong(stem: str) -> str:
    """The stem of an -er verb before a mute e: achète, préfère, appelle, nettoie."""
    if stem.endswith("y"):
        return stem[:-1] + "i"
    if stem == "appel":
        return "appell"
    return re.sub(rf"e(?=[^{_VOWELS}]$)|é(?=[^{_VOWELS}]+$)", "è", stem)


def _soft(stem: str) -> str:
    """The stem of an -er verb before a or o: mangeons, commençons."""
    return stem + "e" if stem.endswith("g") else stem[:-1] + "ç" if stem.endswith("c") else stem


@cache
def conjugate(infinitive: str, tense: str, person: int) -> str:
    """One form of the "present", "imperfect", "future" or "conditional"; persons are je=0 … ils=5."""
    infinitive = infinitive.removeprefix("se ")
    present, future, _ = principal_parts(infinitive)
    if tense == "present":
        return present[person]
    if tense == "future":
        return future + _FUTURE[person]
    ending = _IMPERFECT[person]
    if tense == "conditional":
        return future + ending
    stem = "ét" if infinitive == "être" else present[3].removesuffix("ons")
    if ending.startswith("i"):
        stem = re.sub(r"ge$", "g", stem).replace("ç", "c") if infinitive.endswith("er") else stem
    return stem + ending


def imperative(infinitive: str, person: int) -> str:
    """The command form: as the present, but ferme and ouvre lose their s."""
    form = conjugate(infinitive, "present", person)
    return form.removesuffix("s") if person == 1 and form.endswith(("es", "vas")) else form


def past_participle(infinitive: str) -> str:
    return principal_parts(infinitive.removeprefix("se "))[2]
