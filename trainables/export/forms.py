"""The forms of a trained model as a table: which configurations each can hold, and what it needs.

Nothing here imports torch, or the package of a form, before a model is written. A new form is a class here, a line in
FORMS, and a module beside this one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from trainables.base.extras import need_extra
from trainables.base.translation_config import TranslationConfig
from trainables.export.trained import TrainedModel, Translator

EXACT = "float32"  # the type of weights in which a form is the same function


class Form:
    """A form of a trained model."""

    installs: ClassVar[tuple[str, str, str]]  # its extra, package and module
    quantizations: ClassVar[tuple[str, ...]] = (EXACT,)  # the types of weights that it can have
    beside: ClassVar[tuple[str, ...]] = ()  # those whose BLEU is measured in any case

    def need(self, key: str) -> None:
        """Raises UserError if its package is not installed; key: what asks for the form."""
        need_extra(*self.installs, key)

    def refusal(self, config: TranslationConfig) -> str | None:
        """Why it can't hold a model of this configuration: a sentence that begins with the key at fault."""
        raise NotImplementedError

    def write(self, trained: TrainedModel, folder: Path, quantization: str) -> None:
        """Write the model and its tokenizer into an empty folder."""
        raise NotImplementedError

    def load(self, folder: Path, trained: TrainedModel) -> Translator:
        """Read what `write` wrote."""
        raise NotImplementedError

    def usage(self, trained: TrainedModel) -> str:
        """A program in Python that translates lines with the folder, and what it has to observe; Markdown."""
        raise NotImplementedError


class CTranslate2(Form):
    """The folder of a `ctranslate2.Translator`, with sentencepiece models."""

    installs = ("export", "ctranslate2", "ctranslate2")
    quantizations = (EXACT, "float16", "bfloat16", "int8", "int8_float16", "int8_float32", "int8_bfloat16", "int16")
    beside = ("int8",)

    def refusal(self, config: TranslationConfig) -> str | None:
        if config.model.positions == "transformer_xl":
            return "model.positions: transformer_xl is not in CTranslate2, which has all other kinds"
        return None

    def write(self, trained: TrainedModel, folder: Path, quantization: str) -> None:
        from trainables.data.encoding.tokenizer import save_tokenizer
        from trainables.export.ctranslate2_spec import write

        write(trained.network, trained.tokenizer, folder, quantization)
        save_tokenizer(trained.tokenizer, folder)

    def load(self, folder: Path, trained: TrainedModel) -> Translator:
        from trainables.export.ctranslate2_translator import CTranslate2Translator

        return CTranslate2Translator(folder, trained)

    def usage(self, trained: TrainedModel) -> str:
        from trainables.export.ctranslate2_translator import usage

        return usage(trained)


class HuggingFace(Form):
    """The folder of `from_pretrained` in transformers, as one of its own architectures."""

    installs = ("export", "transformers", "transformers")

    def refusal(self, config: TranslationConfig) -> str | None:
        model = config.model
        wanted = {
            "norm": (model.norm, ("pre", "post")),
            "positions": (model.positions, ("sinusoidal", "learned") if model.norm == "pre" else ("sinusoidal",)),
            "norm_type": (model.norm_type, ("layer",)),
            "activation": (model.activation, ("relu", "gelu")),
            "num_kv_heads": (model.kv_heads, (model.num_heads,)),
            "tied_embeddings": (model.tied_embeddings, ("all",) if model.norm == "pre" else ("all", "decoder", "none")),
        }
        for key, (value, known) in wanted.items():
            if value not in known:
                use = f"use {' or '.join(map(str, known))}"
                return f"model.{key}: {value} is in no architecture of transformers that is otherwise the same; {use}"
        return None

    def write(self, trained: TrainedModel, folder: Path, quantization: str) -> None:
        from trainables.export.huggingface import write

        write(trained, folder)

    def load(self, folder: Path, trained: TrainedModel) -> Translator:
        from trainables.export.huggingface import HuggingFaceTranslator

        return HuggingFaceTranslator(folder, trained)

    def usage(self, trained: TrainedModel) -> str:
        from trainables.export.huggingface import usage

        return usage(trained)


FORMS: dict[str, Form] = {"ctranslate2": CTranslate2(), "huggingface": HuggingFace()}
if TYPE_CHECKING:
    FormName = str
else:
    FormName = Literal[tuple(FORMS)]


def refusal(form: str, config: TranslationConfig) -> str | None:
    """Why a form can't hold a model of this configuration; None if it can."""
    return FORMS[form].refusal(config)
