"""Pairs as TMX, the exchange form of translation memories: units of a text in each language."""

from collections.abc import Iterator
from xml.parsers.expat import ExpatError, ParserCreate

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.language_codes import find_name
from trainables.data.reading.sources import Source

MARKUP = {"bpt", "ept", "it", "ph", "ut"}  # elements within a sentence that hold codes of its layout, and no words


def read_tmx(source: Source, config: DataConfig) -> Rows:
    """The units that have both languages, or one of them and a blank, each by its line.

    Languages are found by their codes, as en in en-US. Raises UserError.
    """
    languages: set[str] = set()
    whole = False
    for line, unit in _units(source):
        where = f"{source}: line {line}"
        sides = [find_name(unit, config.source, "source", where), find_name(unit, config.target, "target", where)]
        whole = whole or all(sides)
        if any(sides):
            yield line, unit.get(sides[0] or "", ""), unit.get(sides[1] or "", "")
        languages.update(unit)
    if languages and not whole:
        raise UserError(
            f"{source}: no unit has {config.source} and {config.target}; its languages are "
            f"{', '.join(sorted(languages))}; name two by data.source and data.target"
        )


def _units(source: Source) -> Iterator[tuple[int, dict[str, str]]]:
    """The line and the texts by language of each unit."""
    reader = _Reader(source)
    try:
        for block in source.read():
            reader.parser.Parse(block, False)
            yield from reader.units
            reader.units.clear()
        reader.parser.Parse(b"", True)
        yield from reader.units
    except ExpatError as error:
        raise UserError(f"{source}: line {error.lineno} is no XML: {error}") from None


class _Reader:
    """What Python's own XML parser calls; no file beside the text is opened, and no entity is defined by it."""

    def __init__(self, source: Source):
        self.units: list[tuple[int, dict[str, str]]] = []  # that are whole and not handed on
        self.parser = ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = self._refuse_entity
        self._source = source
        self._line, self._unit, self._language = 0, dict[str, str](), ""
        self._text: list[str] = []
        self._markup = 0  # elements of it that are open

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "tu":
            self._line, self._unit = self.parser.CurrentLineNumber, {}
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif name == "seg":
            self._text = []
            self.parser.CharacterDataHandler = self._text.append
        elif name in MARKUP:
            self._markup += 1
            self.parser.CharacterDataHandler = None

    def _end(self, name: str) -> None:
        if name == "tu":
            self.units.append((self._line, self._unit))
        elif name == "seg":
            self.parser.CharacterDataHandler = None
            if self._language in self._unit:
                raise UserError(
                    f"{self._source}: line {self._line}: the unit has two texts of {self._language}; leave one"
                )
            self._unit[self._language] = "".join(self._text)
        elif name in MARKUP:
            self._markup -= 1
            if not self._markup:
                self.parser.CharacterDataHandler = self._text.append

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise UserError(
            f"{self._source}: line {self.parser.CurrentLineNumber} defines an entity, {name}; such files can grow "
            "without end, so none is read: write out what it stands for"
        )
