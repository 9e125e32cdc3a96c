"""The model card: README.md of an exported model, as Hugging Face defines it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from trainables.base.kinds import leaves
from trainables.base.translation_config import TranslationConfig
from trainables.export.checking import EQUAL, TIE, Comparison
from trainables.export.forms import EXACT, FORMS
from trainables.export.trained import TrainedModel

SHOWN = 5  # lines that are translated otherwise
PARTS = ("tokenizer.", "model.", "training.")  # keys that the card lists


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, in words."""

    title: str  # such as "trial 3 of NAME"
    corpus: str  # a sentence
    scores: Mapping[str, str]  # name -> value with interval
    found: str  # sentences on the search


def model_card(
    trained: TrainedModel, form: str, quantization: str, comparisons: Mapping[str, Comparison], origin: Origin
) -> str:
    """The text of README.md, in Markdown."""
    config, data = trained.config, trained.config.data
    source, target = data.source_language or data.source, data.target_language or data.target
    front = {"language": [source, target], "tags": ["translation"], "pipeline_tag": "translation"}
    front["library_name"] = FORMS[form].installs[1]
    parameters = f"{trained.network.num_parameters():,}"
    decoding = f"beam of {trained.beam_size}" if trained.beam_size > 1 else "greedy search"
    sections = {
        f"{source} to {target}": f"A transformer of {parameters} parameters that translates {source} to {target}: "
        f"{origin.title}. This folder is for {form}, with weights in {quantization}.",
        "Use": FORMS[form].usage(trained).strip(),
        "Scores": f"{_table(('score', 'value'), origin.scores.items())}\n\nDecoded by {decoding}"
        + (f", length penalty {trained.length_penalty:g}." if trained.beam_size > 1 else "."),
        "Training text": origin.corpus,
        "How it was found": origin.found,
        "Configuration": _table(("key", "value"), _settings(config).items()),
        "Check of this export": _check(comparisons),
        "Licence": "Not stated. It depends on the training text; name it here before you publish the model.",
    }
    body = "\n\n".join(
        f"{'#' if number == 0 else '##'} {title}\n\n{text}" for number, (title, text) in enumerate(sections.items())
    )
    return f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n{body}\n"


def _settings(config: TranslationConfig) -> dict[str, Any]:
    """The keys that decide what the model is, by their dotted names."""
    tree = config.model_dump(mode="json")
    used = {path for path in leaves(TranslationConfig) if path.startswith(PARTS) and path not in config.unused}
    return {path: json.dumps(tree[path.partition(".")[0]][path.partition(".")[2]]) for path in sorted(used)}


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
