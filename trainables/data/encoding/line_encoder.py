"""Lines to ids, by the ids of their words."""

from array import array
from collections.abc import Sequence

import numpy as np
import sentencepiece

OF_A_WORD = 170  # bytes that Python takes for a word besides its characters and ids
SPACE_SIGN = "\u2581"  # sentencepiece's own sign for a space: in a line that has it, words depend on their neighbours


class LineEncoder(dict[str, bytes]):
    """Encodes lines by the ids of their words, which are the same in each line: no piece of ours crosses a space.

    It holds the ids of words that it has met, until memory is full: a word that is frequent is met early.
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor, ids: str, memory: int):
        """ids: the type of an id; memory: bytes that the words it knows may take."""
        super().__init__()
        self._processor, self._code = processor, np.dtype(ids).char
        self._room = memory

    def __call__(self, lines: Sequence[str]) -> list[bytes]:
        """The ids of each line, without special tokens."""
        if SPACE_SIGN in "\n".join(lines):
            return [self._encode(line) if SPACE_SIGN in line else self._by_words(line) for line in lines]
        return list(map(self._by_words, lines))

    def _by_words(self, line: str) -> bytes:
        return b"".join(map(self.__getitem__, line.split(" ")))

    def __missing__(self, word: str) -> bytes:
        ids = self._encode(word)
        self._room -= len(word) + len(ids) + OF_A_WORD
        if self._room > 0:
            self[word] = ids
        return ids

    def _encode(self, text: str) -> bytes:
        return array(self._code, self._processor.encode(text)).tobytes()
