"""Which pairs of a file are trained on: those that `data.filters` keeps and that have no blank side."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.wording import count
from trainables.data.checks.filters import filtered, make_filters, tell_dropped
from trainables.data.reading.formats.lines import is_blank


class TrainingPairs:
    """The pairs to train on, to be iterated once, and then what was left out."""

    def __init__(self, pairs: Iterable[tuple[str, str]], config: DataConfig):
        """pairs: all of the training split. Raises UserError for a filter that lacks a package."""
        self._pairs, self._config = pairs, config
        self._filters = make_filters(config)
        self._dropped: Counter[str] = Counter()
        self._blank = array("q")  # numbers of the pairs, from 1
        self._left_out = array("q")  # the same, with those that filters drop
        self._read = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        kept = filtered(self._counted(), self._filters, self._dropped) if self._filters else self._numbered()
        last = 0
        for number, source, target in kept:
            self._left_out.extend(range(last + 1, number))
            last = number
            if is_blank(source) or is_blank(target):
                self._blank.append(number)
                self._left_out.append(number)
            else:
                yield source, target
        self._left_out.extend(range(last + 1, self._read + 1))

    def _numbered(self) -> Iterator[tuple[int, str, str]]:
        for number, (source, target) in enumerate(self._pairs, 1):
            self._read = number
            yield number, source, target

    def _counted(self) -> Iterator[tuple[str, str]]:
        for pair in self._pairs:
            self._read += 1
            yield pair

    @property
    def numbers(self) -> Sequence[int]:
        """The number in the file of each pair that was kept."""
        if not self._left_out:
            return range(1, self._read + 1)
        kept = np.delete(np.arange(1, self._read + 1), np.array(self._left_out) - 1)
        return array("q", kept.tobytes())

    def told(self) -> list[str]:
        """What was left out, in words. Raises UserError if nothing is left."""
        told = []
        if self._filters:
            told.append(tell_dropped(self._dropped, self._read, self._config))
            if sum(self._dropped.values()) == self._read:
                raise UserError(f"{told[0]}, so nothing is left to train on; relax them")
        if self._blank:
            if len(self._left_out) == self._read:
                raise UserError(f"{self._config.path}: every pair of {self._config.train} has a blank side")
            left = count(len(self._blank), "training pair with a blank side is", "training pairs with a blank side are")
            told.append(f"{left} left out, the first at line {self._blank[0]}")
        return told
