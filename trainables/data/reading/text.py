"""Parallel text: lists of sentences, or files that are read block by block as their lines are asked for."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

from trainables.base.errors import UserError
from trainables.base.files import publish_folder, remove, unwritable
from trainables.base.sealing import Damaged, read_sealed, write_sealed

BLOCK = 4096  # pairs that are read and encoded at a time
SIDES = ("source", "target")
FACTS = "text.json"  # of a text that is whole


class Lines(Sequence[str]):
    """The lines of a UTF-8 file, as a list that need not fit into memory."""

    def __init__(self, file: Path, starts: Sequence[int], count: int):
        """starts: where each block of lines begins in the file, in bytes, and where the last one ends."""
        self._file, self._starts, self._count = file, starts, count
        self._last: tuple[int, list[str]] | None = None  # the block of the line that was asked for last

    def block(self, number: int) -> list[str]:
        """The lines number * BLOCK to (number + 1) * BLOCK. Raises UserError if the file has changed."""
        start, end = self._starts[number], self._starts[number + 1]
        try:
            with self._file.open("rb") as file:
                file.seek(start)
                lines = file.read(end - start).decode().split("\n")[:-1]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self._file}: can't be read ({error}); {self._remedy}") from None
        if len(lines) != min(BLOCK, self._count - number * BLOCK):
            raise UserError(f"{self._file}: was changed; {self._remedy}")
        return lines

    @property
    def _remedy(self) -> str:
        return f"remove {self._file.parent}, then start again"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for number in range(-(-self._count // BLOCK)):
            yield from self.block(number)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[each] for each in range(self._count)[place]]
        place = range(self._count)[place]
        number = place // BLOCK
        if self._last is None or self._last[0] != number:
            self._last = number, self.block(number)
        return self._last[1][place % BLOCK]


@dataclass(frozen=True)
class Text:
    """Sentence pairs in file order: source[i] and target[i] translate each other."""

    source: Sequence[str]
    target: Sequence[str]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sides(self) -> tuple[Sequence[str], Sequence[str]]:
        """Source and target."""
        return self.source, self.target

    def blocks(self, first: int = 0, step: int = 1) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        """Both sides of each BLOCK of pairs, or of every so manyth block from the first on."""
        for number in range(first, -(-len(self) // BLOCK), step):
            source, target = (block_of(side, number) for side in self.sides)
            yield source, target

    def digest(self) -> str:
        """A hash of the text."""
        text = hashlib.sha256()
        for side in self.sides:
            text.update("\n".join(side).encode() + b"\0")
        return text.hexdigest()


@dataclass(frozen=True)
class Split(Text):
    """Sentence pairs in memory."""

    source: list[str]
    target: list[str]

    @property
    def references(self) -> tuple[list[str], ...]:
        """The target, and further translations by people if there are any."""
        return (self.target,)


@dataclass(frozen=True)
class ReferencedSplit(Split):
    """Sentence pairs with further reference translations, each of the whole text."""

    more: tuple[list[str], ...]

    @property
    def references(self) -> tuple[list[str], ...]:
        """All reference translations."""
        return (self.target, *self.more)

    def digest(self) -> str:
        """A hash of the text with all its references."""
        text = hashlib.sha256(super().digest().encode())
        for reference in self.more:
            text.update("\n".join(reference).encode() + b"\0")
        return text.hexdigest()


@dataclass(frozen=True)
class StoredText(Text):
    """Sentence pairs in the folder of `texts` that `sha256` names."""

    source: Lines
    target: Lines
    texts: Path
    sha256: str

    @property
    def folder(self) -> Path:
        """Where the files of the sides are."""
        return self.texts / self.sha256

    def digest(self) -> str:
        """As `Text.digest`, without reading the text."""
        return self.sha256


def stored(text: Text) -> StoredText:
    """A text that is known to be stored, as the training text of a cached corpus is."""
    assert isinstance(text, StoredText)
    return text


def block_of(side: Sequence[str], number: int) -> Sequence[str]:
    """The lines number * BLOCK to (number + 1) * BLOCK of a side."""
    return side.block(number) if isinstance(side, Lines) else side[number * BLOCK : (number + 1) * BLOCK]


def in_memory(pairs: Iterable[tuple[str, str]]) -> Split:
    """The pairs as two lists."""
    source: list[str] = []
    target: list[str] = []
    for first, second in pairs:
        source.append(first)
        target.append(second)
    return Split(source, target)


def store(pairs: Iterable[tuple[str, str]], texts: Path) -> StoredText:
    """Write pairs, in bounded memory, into a folder of `texts` that their digest names.

    Raises UserError for a full disk, and for what can't be a line of UTF-8.
    """
    draft = texts / f".{id(pairs):x}"
    try:
        remove(draft)
        draft.mkdir(parents=True)
        facts = _write(pairs, draft)
        digest = _digest(draft)
        write_sealed(draft / FACTS, {**facts, "sha256": digest})
        if not is_stored(texts, digest):
            publish_folder(draft, texts / digest)
    except OSError as error:
        raise unwritable(texts, error) from None
    finally:
        remove(draft)
    return load(texts, digest)


def is_stored(texts: Path, digest: str) -> bool:
    """Whether a text of this digest is there, by its facts and the sizes of its files."""
    folder = texts / digest
    try:
        facts = read_sealed(folder / FACTS)
        return all((folder / side).stat().st_size == facts[side][-1] for side in SIDES)
    except (Damaged, OSError):
        return False


def load(texts: Path, digest: str) -> StoredText:
    """The text that `store` wrote. Raises Damaged."""
    folder = texts / digest
    facts = read_sealed(folder / FACTS)
    source, target = (Lines(folder / side, facts[side], facts["pairs"]) for side in SIDES)
    return StoredText(source, target, texts, digest)


def verify(text: StoredText) -> bool:
    """Whether the files have what their name says."""
    return _digest(text.folder) == text.sha256


def _write(pairs: Iterable[tuple[str, str]], folder: Path) -> dict[str, object]:
    pairs, count = iter(pairs), 0
    starts: dict[str, list[int]] = {side: [0] for side in SIDES}
    with ExitStack() as stack:
        files = {side: stack.enter_context((folder / side).open("wb")) for side in SIDES}
        while block := list(islice(pairs, BLOCK)):
            for side, lines in zip(SIDES, zip(*block, strict=True), strict=True):
                written = files[side].write(_text_of(lines, count))
                starts[side].append(starts[side][-1] + written)
            count += len(block)
    return {"pairs": count, **starts}


def _text_of(lines: Sequence[str], before: int) -> bytes:
    """Lines as they are written; raises UserError for what would be another text when it is read."""
    text = "\n".join(lines)
    try:
        if text.count("\n") == len(lines) - 1:
            return f"{text}\n".encode()
    except UnicodeEncodeError:
        pass
    for number, line in enumerate(lines, before + 1):
        if "\n" in line or any("\ud800" <= character <= "\udfff" for character in line):
            raise UserError(f"data.path: pair {number:,} has a line break or half a character in it: {line[:40]!a}")
    raise AssertionError("a line that can't be written is found above")


def _digest(folder: Path) -> str:
    """That of `Split.digest`: the sides, without the end of their last lines."""
    text = hashlib.sha256()
    for side in SIDES:
        left = (folder / side).stat().st_size - 1
        with (folder / side).open("rb") as file:
            while left > 0:
                chunk = file.read(min(left, 1 << 20))
                text.update(chunk)
                left -= len(chunk)
        text.update(b"\0")
    return text.hexdigest()
