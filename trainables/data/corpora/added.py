"""Training text beside that of the corpus: `data.more`."""

import hashlib
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from trainables.base.data_config import DataConfig, MoreText, SplitConfig
from trainables.base.errors import Doubt, UserError
from trainables.data.checks.examination import examine
from trainables.data.checks.training_pairs import TrainingPairs
from trainables.data.reading.finding import find_files
from trainables.data.reading.pairs import read_pairs
from trainables.data.reading.text import in_memory

Found = TypeVar("Found")
CHECKED = 50_000  # first pairs, that are examined


def added_files(config: DataConfig) -> list[Path]:
    """The files of all of `data.more`. Raises UserError."""
    return [file for more in config.more for file in AddedText(config, more).files()]


class AddedText:
    """The pairs of one corpus of `data.more`, as often as its weight says, with its tag before each source."""

    def __init__(self, config: DataConfig, more: MoreText):
        """config: of the corpus that this is added to; languages, columns and filters are the same."""
        own = {"path": more.path, "split": SplitConfig(), "limit": None, "more": ()}
        self._config, self._more = config.model_copy(update=own), more
        self._pairs = 0
        self._told: list[str] = []

    def files(self) -> list[Path]:
        """Its files. Raises UserError."""
        return list(self._named(lambda: find_files(self._config, self._config.train, alone=True)))

    def check(self) -> list[str]:
        """What is noteworthy about its first pairs. Raises Doubt, and UserError for what can't be right."""
        head = in_memory(islice(self._read(), CHECKED))
        if not len(head):
            raise UserError(f"data.more: {self._more.path}: is empty; it must hold one sentence per line")
        try:
            return examine(self._more.path, head, range(1, len(head) + 1))
        except Doubt as doubt:
            raise Doubt(str(doubt).replace("data.path", "data.more", 1)) from None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self._pairs, tag = 0, f"{self._more.tag} " if self._more.tag else ""
        for turn in range(math.ceil(self._more.weight)):
            kept, share = TrainingPairs(self._read(), self._config), self._more.weight - turn
            for source, target in kept:
                if share >= 1 or _place(source, target) < share:
                    self._pairs += 1
                    yield f"{tag}{source}", target
            if turn == 0:
                self._told = [f"{self._more.path}: {line}" for line in kept.told()]

    def told(self) -> list[str]:
        """What was added and what was left out, after the last pair."""
        return [*self._told, f"{self._pairs:,} training pairs are from {self._more.path}"]

    def _read(self) -> Iterator[tuple[str, str]]:
        pairs = self._named(lambda: read_pairs(self._config, self._config.train, alone=True))
        while (pair := self._named(lambda: next(pairs, None))) is not None:
            yield pair

    def _named(self, call: Callable[[], Found]) -> Found:
        """The result of a call that says `data.path` of what is `data.more` here."""
        try:
            return call()
        except UserError as error:
            raise UserError(f"data.more: {str(error).removeprefix('data.path: ')}") from None


def _place(source: str, target: str) -> float:
    """A number from 0 to 1 that depends on the pair alone."""
    name = hashlib.blake2b(f"{source}\t{target}".encode(), digest_size=8).digest()
    return int.from_bytes(name) / 2**64
