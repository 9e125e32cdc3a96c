"""Translating with CTranslate2, decoded as this project decodes."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from model.decoding import length_limits
from trainables.data.encoding.tokenizer import load_tokenizer
from trainables.export.ctranslate2_spec import LONGEST
from trainables.export.trained import TrainedModel, Translation

BATCH_TOKENS = 4096
USAGE = """```python
import ctranslate2
import sentencepiece

translator = ctranslate2.Translator("{folder}")
source = sentencepiece.SentencePieceProcessor(model_file="{folder}/{source}.model")
target = sentencepiece.SentencePieceProcessor(model_file="{folder}/{target}.model")


def translate(lines):
    results = translator.translate_batch(
        [[source.id_to_piece(piece) for piece in source.encode(line)] for line in lines],
        beam_size={beam_size},
        length_penalty={length_penalty},
        return_end_token=True,  # so that the end counts in the length that the penalty divides by
        min_decoding_length=0,
        max_decoding_length=512,
        max_input_length=0,  # else sources are cut at 1,024 tokens
    )
    best = [[piece for piece in result.hypotheses[0] if piece != "</s>"] for result in results]
    return [target.decode(target.piece_to_id(pieces)) for pieces in best]


print(translate(["…"]))
```

The options are those of the search's own decoding: a translation is scored by its log probability, divided by its
number of tokens (with the end) to the power of `length_penalty`. A sequence has at most {longest:,} tokens.
"""


class CTranslate2Translator:
    """A folder that was written for CTranslate2, on the CPU."""

    def __init__(self, folder: Path, trained: TrainedModel):
        import ctranslate2

        self._translator = ctranslate2.Translator(str(folder), intra_threads=torch.get_num_threads())
        self._trained, self._tokenizer = trained, load_tokenizer(folder)

    def translate(self, sentences: list[str]) -> list[Translation]:
        """See `Translator`."""
        encoded = self._tokenizer.encode_source(sentences)
        alike: dict[int, list[int]] = defaultdict(list)  # the rows whose translations have the same length limit
        for row, ids in enumerate(encoded):
            alike[self._limit(ids)].append(row)
        found: dict[int, list[int]] = {}
        for limit, rows in alike.items():
            results = self._translator.translate_batch(
                [self._tokenizer.source_pieces(encoded[row][:-1].tolist()) for row in rows],
                beam_size=self._trained.beam_size,
                length_penalty=self._trained.length_penalty,
                return_end_token=True,
                min_decoding_length=0,
                max_decoding_length=limit - 1,  # the last token is the end, which this project adds at no cost
                max_input_length=0,
                max_batch_size=BATCH_TOKENS // self._trained.beam_size,
                batch_type="tokens",
            )
            for row, result in zip(rows, results, strict=True):
                pieces = [piece for piece in result.hypotheses[0] if piece != "</s>"]
                found[row] = self._tokenizer.target.piece_to_id(pieces)
        texts = self._tokenizer.decode_target([found[row] for row in range(len(sentences))])
        return [Translation(found[row], text) for row, text in enumerate(texts)]

    def _limit(self, ids: np.ndarray) -> int:
        return int(length_limits(self._trained.network, torch.from_numpy(ids)[None])[0])


def usage(trained: TrainedModel) -> str:
    """How to use the folder; Markdown."""
    shared = trained.tokenizer.source is trained.tokenizer.target
    return USAGE.format(
        folder=".",
        source="tokenizer" if shared else "source",
        target="tokenizer" if shared else "target",
        beam_size=trained.beam_size,
        length_penalty=trained.length_penalty,
        longest=trained.config.model.longest or LONGEST,
    )
