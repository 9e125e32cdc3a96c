"""The language of a line, guessed from its text, against the language that a configuration claims.

The guess is py3langid's (the extra 'languages'): 139 languages in a package of 4.5 MB that needs no network. Measured
on messages of programs in 106 spellings: at most 0.4% of the lines are surely taken for another language,
but 36% of Tatar, 23% of Belarusian in Latin letters and 4% of Crimean Tatar.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from trainables.base.data_config import DataConfig
from trainables.base.errors import Doubt, UserError
from trainables.base.extras import missing_extra, need_extra
from trainables.data.checks.languages import spread

EXTRA, PACKAGE = "languages", "py3langid"
LOOKED_AT = 500  # lines of a side
LEAST_BYTES, MOST_CHARACTERS = 20, 1000  # a shorter line says too little; of a longer one its beginning is enough
SURE = 0.8  # the probability from which a guess counts
LEAST_SURE = 50  # sure guesses; by fewer nothing is said
CLEARLY, HARDLY = 0.9, 0.02  # the shares of another language and of the claimed one that contradict the claim
NO_LANGUAGE = "zxx"  # numbers, addresses, code
# Languages that are called by one name, or too close for their lines to be told apart.
KIN = [
    {"ar", "ary", "arz"},
    {"zh", "yue", "wuu"},
    {"no", "nn"},
    {"bs", "hr", "sr"},
    {"id", "ms"},
    {"he", "hbo"},
    {"ku", "sdh"},
    {"uz", "uzs"},
]
# ISO 639-2 and -3, the codes of FLORES among them, by the codes of ISO 639-1 that py3langid has.
CODES = {
    long: short
    for entry in """af afr,am amh,an arg,ar ara arb,as asm,az aze azj,ba bak,be bel,bg bul,bn ben,br bre,bs bos,ca cat,
    cs ces cze,cy cym wel,da dan,de deu ger,dz dzo,el ell gre,en eng,eo epo,es spa,et est ekk,eu eus baq,fa fas per pes,
    fi fin,fo fao,fr fra fre,fy fry,ga gle,gd gla,gl glg,gu guj,ha hau,he heb iw,hi hin,hr hrv,ht hat,hu hun,hy hye arm,
    id ind in,ig ibo,is isl ice,it ita,ja jpn jp,jv jav,ka kat geo,kk kaz,km khm,kn kan,ko kor,ku kur kmr,ky kir,la lat,
    lb ltz,lg lug,ln lin,lo lao,lt lit,lv lav lvs,mg mlg plt,mk mkd mac,ml mal,mn mon khk,mr mar,ms msa may zsm,mt mlt,
    my mya bur,ne nep npi,nl nld dut,nn nno,no nor nob nb,oc oci,om orm gaz,or ori ory,pa pan,pl pol,ps pus pbt,
    pt por,qu que quy,ro ron rum,ru rus,rw kin,sa san,se sme,si sin,sk slk slo,sl slv,sn sna,so som,sq sqi alb als,
    sr srp,st sot,sv swe,sw swa swh,ta tam,te tel,tg tgk,th tha,tk tuk,tl tgl fil,tr tur,tt tat,ug uig,uk ukr,ur urd,
    uz uzb uzn,vi vie,wa wln,xh xho,yo yor,zh zho chi cmn,zu zul""".replace("\n", "").split(",")
    for short, *longs in [entry.split()]
    for long in longs
}


@dataclass(frozen=True)
class Guessed:
    """What the lines of one side were taken for."""

    sure: int  # lines whose language was told surely
    shares: dict[str, float]  # of these lines, the largest first

    def share_of(self, language: str) -> float:
        """The share of a language, with those that its lines may be taken for."""
        return sum(self.shares.get(each, 0.0) for each in kin_of(language))

    def contradicts(self, claimed: str) -> str | None:
        """The other language that nearly all lines are in; None where there is none, or the claim is no language."""
        if self.sure < LEAST_SURE or claimed not in known_languages():
            return None
        language = next(iter(self.shares))
        if self.share_of(language) < CLEARLY or self.share_of(claimed) > HARDLY:
            return None
        return language


def can_guess() -> bool:
    """Whether the package is installed."""
    return find_spec(PACKAGE) is not None


def lacking() -> str:
    """What to say where languages are not guessed."""
    return f"languages are not guessed: that {missing_extra(EXTRA, PACKAGE)}"


def claimed_languages(config: DataConfig) -> tuple[str, str]:
    """The codes of source and target as the guesses have them: eng, en_XX and en-GB are en.

    A name that is no language is given as it is.
    """
    source, target = config.source_language or config.source, config.target_language or config.target
    return _plain_code(source), _plain_code(target)


def _plain_code(name: str) -> str:
    code = name.replace("-", "_").partition("_")[0].lower()
    return CODES.get(code, code)


def kin_of(language: str) -> set[str]:
    """The languages that its lines may be taken for."""
    return {language}.union(*(group for group in KIN if language in group))


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def known_languages() -> frozenset[str]:
    """The codes of all languages that can be told."""
    return frozenset(_identifier().labels) - {NO_LANGUAGE}


def guess(line: str) -> str | None:
    """The code of the language that a line is surely in, or of one close to it; None where that can't be told."""
    line = line[:MOST_CHARACTERS]
    if len(line) < LEAST_BYTES and len(line.encode(errors="replace")) < LEAST_BYTES:
        return None
    language, probability = _identifier().classify(line)
    if probability < SURE and len(kin := kin_of(language)) > 1:
        probability = sum(share for each, share in _identifier().rank(line) if each in kin)
    return language if probability >= SURE and language != NO_LANGUAGE else None


def guess_all(lines: Sequence[str]) -> Guessed:
    """What the lines of a side are taken for."""
    counts = Counter(filter(None, map(guess, lines)))
    total = counts.total()
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return Guessed(total, {language: number / total for language, number in ordered})


def check_claims(config: DataConfig, name: str, source: Sequence[str], target: Sequence[str]) -> list[str]:
    """Compare the languages of a split with those that its names claim, by some lines from all over it.

    What may be wrong is returned; nothing where the package is not installed. Raises Doubt, see `doubt_claims`.
    """
    if can_guess():
        doubt_claims(config, name, guess_all(spread(source, LOOKED_AT)), guess_all(spread(target, LOOKED_AT)))
    return []


def doubt_claims(config: DataConfig, name: str, source: Guessed, target: Guessed) -> None:
    """Raises Doubt where nearly all lines of a side of a split are in another language than is claimed."""
    for key, claimed, found in zip(("source", "target"), claimed_languages(config), (source, target), strict=True):
        if other := found.contradicts(claimed):
            said = getattr(config, f"{key}_language") or getattr(config, key)
            raise Doubt(
                f"data.{key}: {said} is claimed, but {found.share_of(other):.0%} of the lines on the {key} side of "
                f"{name} read as {other}; name the language that the files hold (data.{key}, or data.{key}_language "
                "where their names say another)"
            )


def need_languages(config: DataConfig) -> tuple[str, str]:
    """The claimed languages, for a filter that compares each line with them.

    Raises UserError where the package is missing, or a claim is no language that it knows.
    """
    need_extra(EXTRA, PACKAGE, PACKAGE, "data.filters.language")
    claimed = claimed_languages(config)
    for key, code in zip(("source", "target"), claimed, strict=True):
        if code not in known_languages():
            raise UserError(
                f"data.filters.language: data.{key} {getattr(config, key)!r} is no language that {PACKAGE} knows; name "
                f"it by data.{key}_language, such as en, or switch the filter off"
            )
    return claimed
