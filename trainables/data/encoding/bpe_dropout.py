"""BPE-dropout: other pieces for a sentence each time that it is trained on (Provilkov et al. 2020, arXiv 1910.13267).

sentencepiece can draw pieces, too, but its random numbers can't be set again, and a training that continues after a
kill would differ.
"""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import sentencepiece
import torch
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD

START = "\u2581"  # how sentencepiece writes the space before a word


class BpeDropout:
    """Writes sentences with pieces of a BPE model that are merged from characters, where merges are left out."""

    def __init__(self, model: sentencepiece.SentencePieceProcessor, probability: float):
        """probability: that a possible merge is not considered when the next one is chosen."""
        self.model, self.probability = model, probability
        fixed = (model.is_control, model.is_unknown, model.is_byte, model.is_unused)
        pieces = [piece for piece in range(model.get_piece_size()) if not any(kind(piece) for kind in fixed)]
        self._texts = {piece: str(model.id_to_piece(piece)) for piece in pieces}
        self._ids = {text: piece for piece, text in self._texts.items()}
        self._merges: dict[tuple[int, int], tuple[float, int] | None] = {}
        self._characters: dict[tuple[int, ...], list[int] | None] = {}

    def __call__(self, ids: Sequence[int], draw: Callable[[], float]) -> list[int]:
        """Other pieces of the same text. ids: without BOS and EOS; draw: a random number from 0 to 1."""
        written: list[int] = []
        for word in self._words(ids):
            if word not in self._characters:
                self._characters[word] = self._split(word)
            characters = self._characters[word]
            written += word if characters is None else self._merged(characters, draw)
        return written

    def _words(self, ids: Sequence[int]) -> list[tuple[int, ...]]:
        """Runs of pieces that are one word, or of those that have no characters."""
        words: list[list[int]] = []
        for before, piece in pairwise((-1, *ids)):
            text = self._texts.get(piece)
            if not words or text is None or before not in self._texts or text.startswith(START):
                words.append([])
            words[-1].append(piece)
        return [tuple(word) for word in words]

    def _split(self, word: tuple[int, ...]) -> list[int] | None:
        """The pieces of single characters; None if one is not in the vocabulary."""
        try:
            return [self._ids[character] for piece in word for character in self._texts[piece]]
        except KeyError:
            return None

    def _merged(self, characters: list[int], draw: Callable[[], float]) -> list[int]:
        symbols, probability = list(characters), self.probability
        while True:
            best, place = None, 0
            for number, pair in enumerate(pairwise(symbols)):
                merge = self._merges[pair] if pair in self._merges else self._merge(pair)
                if merge and draw() >= probability and (best is None or merge[0] > best[0]):
                    best, place = merge, number
            if best is None:
                return symbols
            symbols[place : place + 2] = [best[1]]

    def _merge(self, pair: tuple[int, int]) -> tuple[float, int] | None:
        """How early the pair is merged, more is earlier, and the piece that it becomes; None if it is never merged."""
        piece = self._ids.get(self._texts[pair[0]] + self._texts[pair[1]])
        self._merges[pair] = None if piece is None else (float(self.model.get_score(piece)), piece)
        return self._merges[pair]


class VariedPieces:
    """Batches whose sentences are written with other pieces."""

    def __init__(self, source: BpeDropout, target: BpeDropout, longest: int):
        """longest: the most pieces of a sentence; one that would have more stays as it is."""
        self.sides, self.longest = (source, target), longest

    def __call__(self, batch: tuple[Tensor, Tensor], seed: str) -> tuple[Tensor, Tensor]:
        """A batch (B, S), (B, T) of ids with other pieces, which depend on the seed alone."""
        draw = random.Random(seed).random
        source, target = (
            [self._varied(side, row, draw) for row in ids.tolist()] for side, ids in zip(self.sides, batch, strict=True)
        )
        return _padded(source, batch[0].dtype), _padded(target, batch[1].dtype)

    def _varied(self, side: BpeDropout, row: list[int], draw: Callable[[], float]) -> list[int]:
        first = int(row[0] == BOS)
        end = row.index(EOS)
        varied = side(row[first:end], draw)
        ids = varied if len(varied) <= self.longest else row[first:end]
        return [*row[:first], *ids, EOS]


def _padded(rows: list[list[int]], dtype: torch.dtype) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows], dtype=dtype)
