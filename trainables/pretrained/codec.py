"""A pretrained model's tokenizer: text to ids and back, with checked codes of languages.

Ids are stored one higher than the model's, so that 0 is padding here, as in all batches of this program; the models'
own padding may be any id, and 0 any piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.special_tokens import PAD
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.pretrained_config import PretrainedConfig
from trainables.data.encoding.sequences import EncodedSplit, Sequences
from trainables.data.reading.language_codes import same_language
from trainables.data.reading.text import Split
from trainables.pretrained.model_files import locate
from trainables.pretrained.quiet import quiet

SHIFT = 1
ENDLESS = 1 << 20  # a tokenizer whose limit is above has none


def to_model(ids: Tensor, padding: int) -> Tensor:
    """The model's ids of stored ones (B, T); padding: the model's."""
    return torch.where(ids == PAD, padding, ids - SHIFT)


@dataclass(frozen=True, eq=False)
class Codec:
    """The tokenizer of a pretrained model, for one pair of languages."""

    tokenizer: Any
    prefix: str  # before each source
    start: int  # the model's id that begins the decoder's input
    forced: int | None  # the model's id of the target language, which begins each translation
    longest: int | None  # ids of a sequence that the model can take
    vocabulary: int

    def encode_source(self, lines: Sequence[str]) -> list[np.ndarray]:
        """The stored ids of each line, with what the model expects around it."""
        return self._encode(self.tokenizer([f"{self.prefix}{line}" for line in lines]))

    def encode_target(self, lines: Sequence[str]) -> list[np.ndarray]:
        """The stored ids of each line, after the id that begins the decoder's input."""
        found = self._encode(self.tokenizer(text_target=list(lines)))
        return [np.concatenate([[self.start + SHIFT], ids]).astype(ids.dtype) for ids in found]

    def encode_split(self, split: Split) -> EncodedSplit:
        """All pairs in ids."""
        source, target = self.encode_source(split.source), self.encode_target(split.target)
        return EncodedSplit(Sequences.pack(source), Sequences.pack(target))

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The texts of the model's ids."""
        with quiet():
            texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def _encode(self, encoded: Any) -> list[np.ndarray]:
        return [np.array(ids, dtype=np.int32) + SHIFT for ids in encoded["input_ids"]]


@quiet()
def load_codec(settings: PretrainedConfig) -> Codec:
    """The tokenizer of a pretrained model. Raises UserError for codes that it does not know."""
    from transformers import AutoConfig, AutoTokenizer

    folder = locate(settings)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever a file makes it raise
        raise UserError(f"pretrained.model: {folder}: can't be read: {' '.join(str(error).split())[:300]}") from None
    if not config.is_encoder_decoder:
        raise UserError(f"pretrained.model: {folder}: {config.model_type} is no encoder-decoder; name one")
    forced, word = _target_language(settings, tokenizer)
    start = config.decoder_start_token_id
    if start is None:
        raise UserError(f"pretrained.model: {folder}: its config.json lacks decoder_start_token_id; write it there")
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    longest = min((limit for limit in limits if limit is not None and limit < ENDLESS), default=None)
    codec = Codec(tokenizer, f"{word}{settings.prefix}", start, forced, longest, config.vocab_size)
    if forced is not None and (first := codec.encode_target(["a"])[0][1] - SHIFT) != forced:
        raise UserError(f"pretrained.target: {settings.target}: its id is {forced}, but targets begin with {first}")
    return codec


def _target_language(settings: PretrainedConfig, tokenizer: Any) -> tuple[int | None, str]:
    """The id that a translation begins with, if the model has such ids, and what stands before each source.

    The tokenizer is set to the languages. Raises UserError for a code that the model does not know, or does not need.
    """
    if hasattr(tokenizer, "src_lang"):
        ids = [
            _id_of(side, code, tokenizer) for side, code in (("source", settings.source), ("target", settings.target))
        ]
        if ids[0] == ids[1]:
            raise UserError(f"pretrained.target: {settings.target} is the source, too; name two languages")
        tokenizer.src_lang, tokenizer.tgt_lang = settings.source, settings.target
        return ids[1], ""
    if settings.source is not None:
        raise UserError("pretrained.source: this model has no codes of source languages; drop it")
    words = [word for word in getattr(tokenizer, "supported_language_codes", None) or () if word.startswith(">>")]
    if words:  # such as opus-mt-en-ROMANCE
        word = f">>{(settings.target or '').strip('<>')}<<"
        if word not in words:
            raise UserError(f"pretrained.target: this model has several languages; name one of {', '.join(words[:20])}")
        return None, f"{word} "
    if settings.target is not None:
        raise UserError("pretrained.target: this model has one target language, and no code of it; drop it")
    return None, ""


def _id_of(side: str, code: str | None, tokenizer: Any) -> int:
    """The id of a language's code, which is a special token. Raises UserError if there is none."""
    special = set(tokenizer.all_special_ids)
    for word in (code, f"__{code}__") if code else ():  # M2M100 writes fr as __fr__
        found = tokenizer.convert_tokens_to_ids(word)
        if found is not None and found != tokenizer.unk_token_id and found in special:
            return int(found)
    said = f"{code!r} is no language of this model" if code else "this model has many languages"
    raise UserError(f"pretrained.{side}: {said}; its codes are like {_some(tokenizer)}")


def _some(tokenizer: Any) -> str:
    """A few codes of a tokenizer."""
    return ", ".join([word for word in tokenizer.all_special_tokens if "_" in word and "<" not in word][:5])


def check_languages(settings: PretrainedConfig, data: DataConfig) -> None:
    """Raises UserError if a code of the model is for another language than that of the text."""
    named = {
        "source": (settings.source, data.source_language or data.source),
        "target": (settings.target, data.target_language or data.target),
    }
    for side, (code, language) in named.items():
        other = "target" if side == "source" else "source"
        if code and not same_language(language, code) and same_language(named[other][1], code):
            raise UserError(
                f"pretrained.{side}: {code} is the language of data.{other} ({named[other][1]}); exchange the codes"
            )
