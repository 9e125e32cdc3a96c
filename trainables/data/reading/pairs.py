"""The pairs of a split, one after another, whatever form its files have."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import zip_longest

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.reading.finding import find_layout
from trainables.data.reading.formats import format_of
from trainables.data.reading.formats.lines import is_blank, read_lines
from trainables.data.reading.formats.rows import Rows
from trainables.data.reading.layouts import Layout
from trainables.data.reading.sources import Source
from trainables.data.reading.splitting import Chosen, choose_pairs

BREAK = re.compile(r"\s*[\r\n]+\s*")


def read_pairs(config: DataConfig, split: str, alone: bool = False) -> Iterator[tuple[str, str]]:
    """Yield source and target of each pair of the split called so in file names, in the order of the file.

    Files are read as pairs are asked for, in bounded memory, and each time alike. White space around a sentence is
    taken off, and a line break within one is a space; a side may be blank. Raises UserError for a file that is missing
    or can't be read, and for sides of unequal length.

    alone: Whether a corpus without splits may be the training text, with nothing for the others.
    """
    text = find_layout(config, split, alone)
    if not text.part:
        return _read(text, config)
    chosen = _choose(config, text, _states(text))
    return (pair for pair in _read(text, config) if chosen.is_in(split, config.train, *pair))


def read_references(config: DataConfig, split: str) -> list[list[str]]:
    """Further reference translations of a split, besides the target of its pairs. Raises UserError."""
    return [[as_sentence(line) for line in read_lines(source)] for source in find_layout(config, split).references]


def read_fit(config: DataConfig, split: str, note: Callable[[str, str], None]) -> Iterator[tuple[str, str]]:
    """As `read_pairs`, without the pairs of a blank side or half a character.

    A corpus without splits is training text. Raises UserError.

    note: Called for each of those, and for each pair with a line break, with what it is and where.
    """
    text = find_layout(config, split, alone=split == config.train)
    chosen = _choose(config, text, _states(text)) if text.part else None
    for source, number, first, second in _raw(text, config):
        if _half_in(first, second):
            if not chosen or split == config.train:  # else each split would count it
                note("left out, as half a character is in it", _place(source, number))
            continue
        pair = as_sentence(first), as_sentence(second)
        if chosen and not chosen.is_in(split, config.train, *pair):
            continue
        if any(map(is_blank, pair)):
            note("left out, as a side is blank", _place(source, number))
            continue
        if pair != (first.strip(), second.strip()):
            note("with a line break in a sentence, which is a space now", _place(source, number))
        yield pair


def as_sentence(text: str) -> str:
    """The text as a line of a file could hold it, without space at its ends."""
    text = text.strip()
    return BREAK.sub(" ", text) if "\n" in text or "\r" in text else text


@lru_cache(maxsize=4)
def _choose(config: DataConfig, text: Layout, states: tuple[tuple[int, int], ...]) -> Chosen:
    """Which pairs are not for training; chosen again where a file has changed."""
    rows = _raw(text, config)
    return choose_pairs(
        ((as_sentence(first), as_sentence(second)) for *_, first, second in rows if not _half_in(first, second)), config
    )


def _states(text: Layout) -> tuple[tuple[int, int], ...]:
    facts = [source.file.stat() for source in text.sources]
    return tuple((each.st_size, each.st_mtime_ns) for each in facts)


def _read(text: Layout, config: DataConfig) -> Iterator[tuple[str, str]]:
    if text.plain:  # which holds no line breaks, and no halves of characters
        return ((source.strip(), target.strip()) for _, source, target in _read_sides(*text.sources))
    return _read_tables(text, config)


def _read_tables(text: Layout, config: DataConfig) -> Iterator[tuple[str, str]]:
    for source, number, first, second in _raw(text, config):
        if half := _half_in(first, second):
            raise UserError(
                f"{source}: {format_of(source).unit} {number} has half a character (\\u{ord(half):04x}), as a cut "
                "emoji leaves it; fix or remove the pair"
            )
        yield as_sentence(first), as_sentence(second)


def _raw(text: Layout, config: DataConfig) -> Iterator[tuple[Source, int, str, str]]:
    """The sides of each pair as they stand there, with where that is."""
    if text.plain:
        yield from ((text.sources[0], *row) for row in _read_sides(*text.sources))
    else:
        yield from ((source, *row) for source in text.sources for row in format_of(source).read(source, config))


def _place(source: Source, number: int) -> str:
    return f"{format_of(source).unit} {number} of {source.label}"


def _half_in(first: str, second: str) -> str | None:
    try:
        f"{first}{second}".encode()  # the fastest way to see that there is none
    except UnicodeEncodeError as error:
        return str(error.object)[error.start]
    return None


def _read_sides(source: Source, target: Source) -> Rows:
    """The lines of two files, of which line i translates line i. Raises UserError for unequal numbers of lines."""
    sides = [read_lines(source), read_lines(target)]
    for number, (first, second) in enumerate(zip_longest(*sides), 1):
        if first is None or second is None:
            longer = number + sum(1 for rest in sides for _ in rest)
            counts = (number - 1, longer) if first is None else (longer, number - 1)
            raise UserError(
                f"{target}: its number of lines is {counts[1]}, that of {source.label} is {counts[0]}; "
                "line i must translate line i"
            )
        yield number, first, second
