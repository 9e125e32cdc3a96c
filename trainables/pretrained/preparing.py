"""From configuration to text in the ids of a pretrained model, once for all trials of a process that share it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.pretrained_config import PretrainedConfig
from trainables.base.wording import count
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.scoring import scoring
from trainables.data.encoding.preparing import PreparedText
from trainables.data.reading.text import stored
from trainables.pretrained.codec import Codec, check_languages, load_codec
from trainables.pretrained.encoding import encode_text


@dataclass(frozen=True)
class PreparedPretrained(PreparedText):
    """A corpus in the ids of a pretrained model, and its tokenizer."""

    codec: Codec


@lru_cache(maxsize=2)  # a worker keeps it for the next trial
def prepare_pretrained(data: DataConfig, settings: PretrainedConfig, cache: Path) -> PreparedPretrained:
    """The corpus in the ids of a pretrained model. Raises UserError."""
    check_languages(settings, data)
    corpus, codec = cached_corpus(data, cache), load_codec(settings)
    if codec.longest is not None and data.max_tokens > codec.longest:
        raise UserError(
            f"data.max_tokens: {data.max_tokens} is more than the {codec.longest} that this model takes; lower it"
        )
    train = encode_text(stored(corpus.train), codec, settings, data, cache)
    if not len(train):
        raise UserError(
            f"data.max_tokens: no training pair is as short as {count(data.max_tokens, 'token', 'tokens')}; raise it"
        )
    valid = codec.encode_split(corpus.valid)
    if codec.longest is not None and (longest := int(valid.lengths.max())) > codec.longest:
        raise UserError(
            f"data.valid: {data.valid} has a sentence of {longest} tokens, and this model takes {codec.longest}; split "
            "it"
        )
    return PreparedPretrained(train, valid, corpus.valid, scoring(data), codec)
