"""The model card: README.md of an exported model, as Hugging Face defines it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainables.base.config import flatten
from trainables.base.data_config import DataConfig
from trainables.base.kinds import leaves
from trainables.base.translator_config import TranslatorConfig
from trainables.export.checking import EQUAL, TIE, Comparison
from trainables.export.forms import EXACT, FORMS

SHOWN = 5  # lines that are translated otherwise


@dataclass(frozen=True)
class Model:
    """The model itself, in words."""

    languages: tuple[str, str]
    kind: str  # such as "A transformer of 1,000 parameters"
    usage: str  # a program that translates with the folder; Markdown
    beam_size: int
    length_penalty: float
    settings: Mapping[str, Any]  # the keys that decide what it is
    base: str | None = None  # the model of the Hugging Face Hub that it was made from


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, in words."""

    title: str  # such as "trial 3 of NAME"
    corpus: str  # a sentence
    scores: Mapping[str, str]  # name -> value with interval
    found: str  # sentences on the search


def model_card(
    model: Model, form: str, quantization: str, comparisons: Mapping[str, Comparison], origin: Origin
) -> str:
    """The text of README.md, in Markdown."""
    source, target = model.languages
    front = {"language": [source, target], "tags": ["translation"], "pipeline_tag": "translation"}
    front["library_name"] = FORMS[form].installs[1]
    if model.base:
        front["base_model"] = model.base
    decoding = f"beam of {model.beam_size}" if model.beam_size > 1 else "greedy search"
    sections = {
        f"{source} to {target}": f"{model.kind} that translates {source} to {target}: {origin.title}. This folder is "
        f"for {form}, with weights in {quantization}.",
        "Use": model.usage.strip(),
        "Scores": f"{_table(('score', 'value'), origin.scores.items())}\n\nDecoded by {decoding}"
        + (f", length penalty {model.length_penalty:g}." if model.beam_size > 1 else "."),
        "Training text": origin.corpus,
        "How it was found": origin.found,
        "Configuration": _table(("key", "value"), model.settings.items()),
        "Check of this export": _check(comparisons),
        "Licence": "Not stated. It depends on the training text; name it here before you publish the model.",
    }
    body = "\n\n".join(
        f"{'#' if number == 0 else '##'} {title}\n\n{text}" for number, (title, text) in enumerate(sections.items())
    )
    return f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n{body}\n"


def languages(data: DataConfig) -> tuple[str, str]:
    """The languages of a corpus, as the card names them."""
    return data.source_language or data.source, data.target_language or data.target


def settings_of(config: TranslatorConfig, parts: tuple[str, ...]) -> dict[str, Any]:
    """The keys that decide what the model is: those that begin with one of the parts and have an effect.

    Folders have their last two names alone: the rest says only where they lie on this machine.
    """
    tree = flatten(config.model_dump(mode="json"))
    used = {path for path in leaves(type(config)) if path.startswith(parts) and path not in config.unused}
    return {path: json.dumps(_short(tree[path])) for path in sorted(used)}


def _short(value: Any) -> Any:
    return "/".join(Path(value).parts[-2:]) if isinstance(value, str) and Path(value).is_absolute() else value


def _check(comparisons: Mapping[str, Comparison]) -> str:
    exact = comparisons[EXACT]
    rows = [("the model itself", f"{exact.lines:,}", f"{exact.own_bleu:.2f}")]
    rows += [(name, f"{each.equal:,}", f"{each.bleu:.2f}") for name, each in comparisons.items()]
    text = (
        f"The {exact.lines:,} lines of the validation split, translated by the model itself and by its exported forms:"
        f"\n\n{_table(('weights', 'equal translations', 'BLEU'), rows)}\n\nA model is not exported if fewer than "
        f"{EQUAL:.1%} of the lines are equal with weights in {EXACT}, or the scores of two translations, by the model "
        f"itself, differ by more than {TIE} (except at the limit of their length, which programs treat differently)."
    )
    if exact.differences:
        shown = [(each.line, each.ours, each.theirs, f"{each.gap:.4f}") for each in exact.differences[:SHOWN]]
        text += f"\n\nOther translations in {EXACT}:\n\n" + _table(("line", "the model", "exported", "gap"), shown)
    return text


def _table(head: tuple[str, ...], rows: Any) -> str:
    """A table in Markdown."""
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
