"""The model that is exported, and what an exported model does."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trainables.base.translation_config import TranslationConfig

if TYPE_CHECKING:  # torch is imported late
    from model.transformer import Transformer
    from trainables.data.encoding.tokenizer import Tokenizer


@dataclass(frozen=True)
class TrainedModel:
    """A model, and how it decodes."""

    config: TranslationConfig
    network: "Transformer"
    tokenizer: "Tokenizer"
    beam_size: int
    length_penalty: float


class Translation(NamedTuple):
    """A translation, and its tokens in our tokenizer, without the ends of a sentence."""

    ids: list[int]
    text: str


class Translator(Protocol):
    """An exported model, run by the program that it was exported for."""

    def translate(self, sentences: list[str]) -> list[Translation]:
        """The best translation of each, with the decoding that it was exported with."""
        ...
