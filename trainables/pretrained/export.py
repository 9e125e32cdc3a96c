"""A fine-tuned model for other programs, checked on the validation split: transformers, or CTranslate2."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainables.base.errors import UserError
from trainables.base.files import make_folder, publish_folder, remove
from trainables.base.pretrained_config import FineTunedConfig
from trainables.data.corpora.scoring import scoring
from trainables.data.reading.text import Split
from trainables.export.card import Model, Origin, languages, model_card, settings_of
from trainables.export.checking import Comparison, Difference
from trainables.export.exporting import Destination
from trainables.export.forms import EXACT, FORMS
from trainables.pretrained.codec import SHIFT, Codec
from trainables.pretrained.generation import logits_of, translate
from trainables.pretrained.model_files import SMALL, WEIGHTS
from trainables.pretrained.quiet import quiet
from trainables.training.evaluation import corpus_bleu

BATCH_TOKENS = 4096
USAGE = {
    "huggingface": """```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForSeq2SeqLM.from_pretrained(".")
found = model.generate(**tokenizer(["{prefix}…"], return_tensors="pt", padding=True))
print(tokenizer.batch_decode(found, skip_special_tokens=True))
```
""",
    "ctranslate2": """```python
import ctranslate2
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
translator = ctranslate2.Translator(".")
pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("{prefix}…"))
(result,) = translator.translate_batch([pieces], target_prefix={start}, beam_size={beam}, length_penalty={penalty})
print(tokenizer.decode(tokenizer.convert_tokens_to_ids(result.hypotheses[0]), skip_special_tokens=True))
```
""",
}
Translate = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class FineTunedModel:
    """A model with merged adapters, its folder of `from_pretrained`, and how it decodes."""

    config: FineTunedConfig
    network: Any
    codec: Codec
    folder: Path
    beam_size: int
    length_penalty: float

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Translations by the model itself."""
        return translate(self.network, self.codec, sentences, self.beam_size, self.length_penalty)


def export(model: FineTunedModel, destination: Destination, valid: Split, origin: Origin) -> dict[str, Comparison]:
    """Write a model and a model card into a folder, after it has translated the validation split like the model itself.

    Returns the comparisons by the type of weights. Raises UserError if the folder has files, or the form can't hold the
    model; the folder is then as it was.
    """
    form, folder = FORMS[destination.form], destination.folder
    destination.check_place()
    own = model.translate(valid.source)
    make_folder(folder.parent)
    drafts, found = folder.parent / f".{folder.name}.export", dict[str, Comparison]()
    remove(drafts)
    try:
        for quantization in dict.fromkeys((EXACT, *form.beside, destination.quantization)):
            draft = drafts / quantization
            draft.mkdir(parents=True)
            with _written(model, destination.form, draft, quantization) as translated:
                found[quantization] = _compare(model, own, translated(valid.source), valid)
            if quantization == EXACT:
                found[EXACT].require_equal()
        card = model_card(
            _described(model, destination.form), destination.form, destination.quantization, found, origin
        )
        (drafts / destination.quantization / "README.md").write_text(card, encoding="utf-8")
        publish_folder(drafts / destination.quantization, folder)
    finally:
        remove(drafts)
    return found


@contextmanager
def _written(model: FineTunedModel, form: str, folder: Path, quantization: str) -> Iterator[Translate]:
    """Write the model; yields what translates with it."""
    for pattern in SMALL:
        for file in model.folder.glob(pattern):
            shutil.copy(file, folder)
    if form == "huggingface":
        for pattern in WEIGHTS:
            for file in model.folder.glob(pattern):
                shutil.copy(file, folder)
        yield _by_transformers(model, folder)
        return
    from ctranslate2.converters import TransformersConverter

    converted = folder / "converted"
    try:
        with quiet():
            TransformersConverter(str(model.folder)).convert(str(converted), quantization=quantization)
    except Exception as error:  # of a family that it does not know, or can't read
        said = " ".join(str(error).split())[:300]
        raise UserError(f"--to ctranslate2: {type(model.network).__name__}: can't be converted: {said}") from None
    for file in converted.iterdir():
        file.replace(folder / file.name)  # its config.json replaces that of transformers
    converted.rmdir()
    yield _by_ctranslate2(model, folder)


def _by_transformers(model: FineTunedModel, folder: Path) -> Translate:
    from transformers import AutoModelForSeq2SeqLM

    with quiet():
        network = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    return lambda lines: translate(network, model.codec, lines, model.beam_size, model.length_penalty)


def _by_ctranslate2(model: FineTunedModel, folder: Path) -> Translate:
    import ctranslate2

    translator = ctranslate2.Translator(str(folder), intra_threads=torch.get_num_threads())
    tokenizer, forced = model.codec.tokenizer, model.codec.forced
    start = None if forced is None else [tokenizer.convert_ids_to_tokens(forced)]

    def translated(lines: Sequence[str]) -> list[str]:
        sources = [tokenizer.convert_ids_to_tokens((ids - SHIFT).tolist()) for ids in model.codec.encode_source(lines)]
        results = translator.translate_batch(
            sources,
            target_prefix=None if start is None else [start] * len(sources),
            beam_size=model.beam_size,
            length_penalty=model.length_penalty,
            max_decoding_length=model.codec.longest or 512,
            max_input_length=0,
            max_batch_size=BATCH_TOKENS,
            batch_type="tokens",
        )
        return model.codec.decode([tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results])

    return translated


def _compare(model: FineTunedModel, own: list[str], theirs: list[str], valid: Split) -> Comparison:
    scored = scoring(model.config.data)
    rows = [row for row, (our, their) in enumerate(zip(own, theirs, strict=True)) if our != their]
    pairs = [[_score(model, valid.source[row], found[row]) for found in (own, theirs)] for row in rows]
    gaps = [abs(our - their) for our, their in pairs]
    return Comparison(
        lines=len(own),
        bleu=corpus_bleu(theirs, valid.target, scored),
        own_bleu=corpus_bleu(own, valid.target, scored),
        differences=[Difference(row + 1, own[row], theirs[row], gap) for row, gap in zip(rows, gaps, strict=True)],
    )


@torch.inference_mode()
def _score(model: FineTunedModel, sentence: str, translation: str) -> float:
    """The score of a translation, as its text is cut into pieces: log p / tokens^length_penalty."""
    (source,), (target,) = model.codec.encode_source([sentence]), model.codec.encode_target([translation])
    logits, gold = logits_of(model.network, *(torch.from_numpy(ids).long()[None] for ids in (source, target)))
    log_p = logits.log_softmax(dim=-1).gather(1, gold[:, None])[int(model.codec.forced is not None) :]
    return float(log_p.sum()) / len(gold) ** model.length_penalty


def _described(model: FineTunedModel, form: str) -> Model:
    tokenizer, forced, config = model.codec.tokenizer, model.codec.forced, model.config
    start = None if forced is None else [[tokenizer.convert_ids_to_tokens(forced)]]
    usage = USAGE[form].replace("{prefix}", model.codec.prefix)
    for name, value in {"start": start, "beam": model.beam_size, "penalty": model.length_penalty}.items():
        usage = usage.replace(f"{{{name}}}", str(value))
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    return Model(
        languages=languages(config.data),
        kind=f"A fine-tuned {type(model.network).__name__} of {parameters:,} parameters",
        usage=usage,
        beam_size=model.beam_size,
        length_penalty=model.length_penalty,
        settings=settings_of(config, ("pretrained.", "tuning", "lora.", "training.")),
        base=config.pretrained.model if config.pretrained.on_hub else None,
    )
