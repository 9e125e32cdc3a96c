"""A text in ids as it lies on disk: an index, and parts that processes map into memory."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from model.special_tokens import BOS, EOS
from trainables.base.errors import UserError
from trainables.base.sealing import Damaged, read_sealed
from trainables.data.encoding.sequences import EncodedSplit, Sequences, offsets_of

INDEX = "index.json"  # written last: a folder that has it is complete


@dataclass(frozen=True)
class Part:
    """A file of ids of the source, ids of the target, then how many each source has, and each target."""

    pairs: int
    overlong: int
    source_ids: int
    target_ids: int
    sha256: str


class EncodedText:
    """A text in ids, whose parts are mapped into memory as they are asked for; see `sequences.Encoded`."""

    def __init__(self, folder: Path):
        """Read the index that `encode_text` wrote. Raises Damaged."""
        index = read_sealed(folder / INDEX)
        self._folder, self._ids, self._lengths = folder, np.dtype(index["ids"]), np.dtype(index["lengths"])
        self._around = index.get("around", [[None, EOS], [BOS, EOS]])  # ids that are not in the files, of each side
        self._parts = [Part(**part) for part in index["parts"]]
        self._open: tuple[int, EncodedSplit] | None = None
        self._checked: set[int] = set()  # parts whose files have what was written

    def __len__(self) -> int:
        return sum(part.pairs for part in self._parts)

    @property
    def overlong(self) -> int:
        """Pairs with a side above the limit, which were dropped or cut."""
        return sum(part.overlong for part in self._parts)

    @property
    def target_tokens(self) -> int:
        """Tokens that are predicted in one pass: all but BOS."""
        outside = sum(special is not None for special in self._around[1])
        return sum(part.target_ids for part in self._parts) + len(self) * (outside - 1)

    @property
    def num_parts(self) -> int:
        """The number of parts."""
        return len(self._parts)

    def part(self, number: int) -> EncodedSplit:
        """A part, which stays mapped until another is asked for."""
        if self._open is None or self._open[0] != number:
            self._open = None  # the old part leaves memory before the new one comes
            self._open = number, self._map(number)
        return self._open[1]

    def _map(self, number: int) -> EncodedSplit:
        part, file = self._parts[number], self._folder / name_of(number)
        sizes = [(self._ids, part.source_ids), (self._ids, part.target_ids), *[(self._lengths, part.pairs)] * 2]
        ends = np.cumsum([dtype.itemsize * size for dtype, size in sizes])
        try:
            content = np.asarray(np.memmap(file, np.uint8, "r")) if part.pairs else np.zeros(0, np.uint8)
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: can't be read: {error}; remove {self._folder}, then start again") from None
        if len(content) != ends[-1] or not (number in self._checked or sha256(content.data).hexdigest() == part.sha256):
            raise UserError(f"{file}: was changed; remove {self._folder}, then start again")
        self._checked.add(number)
        pieces = [piece.view(dtype) for piece, (dtype, _) in zip(np.split(content, ends[:-1]), sizes, strict=True)]
        source, target, *lengths = pieces
        offsets = [offsets_of(each) for each in lengths]
        around = self._around
        return EncodedSplit(
            Sequences(source, offsets[0], *around[0]), Sequences(target, offsets[1], *around[1]), part.overlong
        )


def index_of(folder: Path) -> dict[str, Any] | None:
    """The index of a folder whose parts are complete; None if they are not, or it is damaged."""
    try:
        return read_sealed(folder / INDEX)
    except Damaged:
        return None


def name_of(number: int) -> str:
    """The name of the file of a part."""
    return f"part-{number:05}"
