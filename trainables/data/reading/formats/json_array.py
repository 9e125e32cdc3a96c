"""Pairs as one JSON value: an array of records, or an object that holds one."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.formats.lines import LONGEST
from trainables.data.reading.formats.records import pick_sides, wanted
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.sources import Source

SPACE = re.compile(r"[ \t\n\r]*")
ARRAY = re.compile(r'"\s*:\s*\[(?=\s*[\[{])')  # of objects or arrays, as the value of a key
NO_PAIR = (ValueError, LookupError, AttributeError, TypeError)


def read_json(source: Source, config: DataConfig) -> Rows:
    """The pairs of the records, which are read one after another, however large the array is.

    Objects that just follow each other, as in JSON Lines, are read, too. Raises UserError.
    """
    where = str(source)
    for number, record in enumerate(_records(_Text(source), config, where), 1):
        try:
            yield number, *pick_sides(record, config, where)
        except NO_PAIR:
            raise UserError(f"{source}: record {number} must be {wanted(config)}") from None


def _records(text: "_Text", config: DataConfig, where: str) -> Iterator[Any]:
    """The items of the array, of the first array of the object, or the objects that follow each other."""
    if text.take("["):
        return _items(text)
    if text.next() == "{" and not _begins_with_a_pair(text, config, where) and text.skip(ARRAY):
        return _items(text)
    return _values(text)


def _begins_with_a_pair(text: "_Text", config: DataConfig, where: str) -> bool:
    try:
        pick_sides(text.value(keep=True), config, where)
    except (UserError, *NO_PAIR):  # a large object does not end within what may be read for this
        return False
    return True


def _values(text: "_Text") -> Iterator[Any]:
    while text.next():
        yield text.value()


def _items(text: "_Text") -> Iterator[Any]:
    """What follows the bracket of an array, to its end."""
    if text.take("]"):
        return
    while True:
        yield text.value()
        if text.take("]"):
            return
        if not text.take(","):
            raise text.wrong("an item is followed by neither a comma nor a bracket")


class _Text:
    """The text of a file; what was read is let go."""

    def __init__(self, source: Source):
        self._source, self._blocks = source, source.read()
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text, self._place, self._lines = "", 0, 1

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            match = SPACE.match(self._text, self._place)
            assert match
            self._place = match.end()
            if self._place < len(self._text) or not self._more():
                return self._text[self._place : self._place + 1]

    def take(self, sign: str) -> bool:
        """Whether this is the next character, which is read then."""
        found = self.next() == sign
        self._place += found
        return found

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Read to the end of what the pattern finds, if it is in what was looked at."""
        if match := pattern.search(self._text, self._place):
            self._place = match.end()
        return match is not None

    def value(self, keep: bool = False) -> Any:
        """The next value, which stays unread with keep. Raises UserError."""
        self.next()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if len(self._text) - self._place > LONGEST or not self._more():
                    raise self.wrong(error.msg, error.pos) from None
            except RecursionError:
                raise self.wrong("it is nested too deeply") from None
            else:
                self._place = self._place if keep else end
                return value

    def wrong(self, what: str, place: int | None = None) -> UserError:
        """For text that is no JSON at a place, by default at the next character."""
        line = self._lines + self._text.count("\n", 0, self._place if place is None else place)
        return UserError(f"{self._source}: line {line} is no JSON: {what}")

    def _more(self) -> bool:
        """Whether there was another block."""
        block = next(self._blocks, None)
        try:
            new = self._decoder.decode(block or b"", final=block is None)
        except UnicodeDecodeError as error:
            line = self._lines + self._text.count("\n") + error.object.count(b"\n", 0, error.start)
            raise UserError(f"{self._source}: line {line} is not UTF-8; convert the file") from None
        self._lines += self._text.count("\n", 0, self._place)
        self._text, self._place = self._text[self._place :] + new, 0
        return block is not None
