"""Which names of files, columns and keys stand for a language, or for the source and the target."""

import re
from collections.abc import Collection

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError, either

# ISO 639-3 (and 639-2, where that has another) by ISO 639-1.
LONG_CODES = """
aar:aa abk:ab afr:af aka:ak amh:am ara:ar arb:ar arg:an asm:as ava:av aym:ay aze:az azj:az bak:ba bel:be ben:bn
bih:bh bis:bi bod:bo tib:bo bos:bs bre:br bul:bg cat:ca ces:cs cze:cs cha:ch che:ce zho:zh chi:zh cmn:zh chv:cv
cor:kw cos:co cym:cy wel:cy dan:da deu:de ger:de div:dv dzo:dz ell:el gre:el eng:en epo:eo est:et ekk:et eus:eu
baq:eu ewe:ee fao:fo fij:fj fin:fi fra:fr fre:fr fry:fy ful:ff kat:ka geo:ka gla:gd gle:ga glg:gl glv:gv grn:gn
guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy arm:hy ibo:ig isl:is ice:is ido:io iii:ii
iku:iu ile:ie ina:ia ind:id ipk:ik ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kau:kr kaz:kk khm:km kik:ki kin:rw
kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku kmr:ku lao:lo lat:la lav:lv lvs:lv lim:li lin:ln lit:lt ltz:lb lub:lu
lug:lg mah:mh mal:ml mar:mr mkd:mk mac:mk mlg:mg plt:mg mlt:mt mon:mn khk:mn mri:mi mao:mi msa:ms may:ms zsm:ms
mya:my bur:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne npi:ne nld:nl dut:nl nno:nn nob:nb nor:no nya:ny oci:oc
oji:oj ori:or ory:or orm:om gaz:om oss:os pan:pa fas:fa per:fa pes:fa pli:pi pol:pl por:pt pus:ps pbt:ps que:qu
roh:rm ron:ro rum:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slo:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so
sot:st spa:es sqi:sq alb:sq als:sq srd:sc srp:sr ssw:ss sun:su swa:sw swh:sw swe:sv tah:ty tam:ta tat:tt tel:te
tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz ven:ve
vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi ydd:yi yor:yo zha:za zul:zu
"""
CODES = dict(pair.split(":") for pair in LONG_CODES.split())
ROLES = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("source", "translation"))


def same_language(code: str, name: str) -> bool:
    """Whether a name can stand for the language of a code: its other codes, with a region or script, or without.

    >>> same_language("en", "en_XX"), same_language("eng", "en-US"), same_language("pt_BR", "pt_PT")
    (True, True, False)
    """
    (language, more), (other, others) = _parts(code), _parts(name)
    return language == other and (not more or not others or more == others)


def find_sides(names: Collection[str], config: DataConfig, where: str) -> tuple[str, str] | None:
    """The names of source and target among those of columns, keys or files; None if they are not there.

    The codes of the configuration come first, then other names of these languages, then "source" and "target" and
    the like; capitals do not matter. Raises UserError if more than one name can be meant.
    """
    source, target = find_name(names, config.source, "source", where), find_name(names, config.target, "target", where)
    if source and target:
        return source, target
    lower = {name.lower(): name for name in names}
    return next(((lower[one], lower[other]) for one, other in ROLES if one in lower and other in lower), None)


def find_name(names: Collection[str], code: str, key: str, where: str) -> str | None:
    """The name of one language, whose key is data.source or data.target; see `find_sides`. Raises UserError."""
    exact = [name for name in names if name == code] or [name for name in names if name.lower() == code.lower()]
    found = exact or [name for name in names if same_language(code, name)]
    if len(found) > 1:
        raise UserError(f"{where}: {either(sorted(found))} can be meant by {code}; name one by data.{key}")
    return found[0] if found else None


def _parts(code: str) -> tuple[str, str]:
    """The language in its shortest code, and what else is said: a region, a script."""
    language, *more = re.split("[-_]", code.lower(), maxsplit=1)
    others = "".join(more)
    return CODES.get(language, language), "" if others == "xx" else others
