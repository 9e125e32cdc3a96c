"""What marks text that was broken on its way: control characters, wrong encodings; and text that is markup."""

import re

# The second and later bytes of a character in UTF-8, as programs show them that take the text for Windows-1252.
_LATER = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
GARBLED = re.compile(
    # Control characters but for tab and line ends; noncharacters; the sign for bytes that were no text.
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]"
    # "Ã©" for é, "Â»" for »: one such group is enough, as no spelling has it. Quotes of Windows-1252 are left out here,
    # as in „AMANHÔ.
    "|[ÂÃ][\u00a1-\u00bf]"
    # "â€™" for an apostrophe, "â€œ" for a quote, "â€“" for a dash
    "|â€[\u0080-\u00bf™œž˜“”–—š›¡¢¦]"
    # "Ð¿Ñ€" for Cyrillic, "ÎºÎ±" for Greek, "×©×œ" for Hebrew: two such groups in a row
    f"|(?:[ÂÃÄÅÎÏÐÑ×ØÙ][{_LATER}]){{2}}"
    # "ä½ å¥½" for Chinese, "à¤¨" for Hindi: two groups of three
    f"|(?:[à-ï][{_LATER}]{{2}}){{2}}"
)
MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|<!--|&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")


def is_garbled(text: str) -> bool:
    """Whether some of it is no text, or was read in another encoding than it was written in.

    >>> is_garbled("cafÃ©"), is_garbled("café"), is_garbled("„Spaß“")
    (True, False, False)
    """
    return not (text.isascii() and text.isprintable()) and GARBLED.search(text) is not None


def has_markup(text: str) -> bool:
    """Whether it has tags of HTML or XML, or characters by their names there, such as &amp;."""
    return ("<" in text or "&" in text) and MARKUP.search(text) is not None
