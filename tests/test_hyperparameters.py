"""What a search draws reaches the model: every value of every searchable field trains to other weights."""

import hashlib
from collections.abc import Callable
from typing import Any, get_args

import pytest
from corpora import text_of, write_digits

from search.settings.searchable import FIXED, is_among
from search.space.space import SearchSpace
from trainables.base.config import flatten
from trainables.base.translation_config import TranslationConfig
from trainables.training.loop import train

SEARCHABLE = [
    path for path in flatten(TranslationConfig().model_dump()) if not is_among(path, (*TranslationConfig.fixed, *FIXED))
]
VALUES: dict[str, list[Any]] = {  # of the fields that are no choice among words
    "tokenizer.vocab_size": [50, 60],
    "tokenizer.shared": [True, False],
    "tokenizer.character_coverage": [1.0, 0.98],
    "tokenizer.byte_fallback": [False, True],
    "tokenizer.sample_lines": [60, 90],
    "model.encoder_layers": [1, 2],
    "model.decoder_layers": [1, 2],
    "model.d_model": [8, 16],
    "model.num_heads": [2, 4],
    "model.num_kv_heads": [None, 1, 2],
    "model.ffn_dim": [12, 24],
    "training.batch_shapes": [None, 2],
    "model.dropout": [0.0, 0.1, 0.2],
    "model.attention_dropout": [0.0, 0.1],
    "model.activation_dropout": [0.0, 0.1],
    "model.max_length": [40, 50],
    "model.max_distance": [1, 2],
    "training.batch_tokens": [100, 200],
    "training.batch_sentences": [5, 10],
    "training.learning_rate": [0.001, 0.002],
    "training.warmup_steps": [0, 2],
    "training.label_smoothing": [0.0, 0.1],
    "training.clip_norm": [0.1, 0.2],
    "training.bpe_dropout": [0.0, 0.2],
    "training.forward_tokens": [None, 50],
    "training.final_rate": [0.0, 0.5],
    "training.beta1": [0.9, 0.8],
    "training.beta2": [0.98, 0.9],
    "training.epsilon": [1e-8, 1e-4],
    "training.weight_decay": [0.0, 0.1],
    "training.ema_decay": [0.0, 0.9],
    "training.patience": [None, 1],
    "model.layer_drop": [0.0, 0.6],
    "model.base_width": [None, 8],
}
BESIDE: dict[str, dict[str, Any]] = {  # what a field needs to matter
    "tokenizer.byte_fallback": {"tokenizer.vocab_size": 320},
    "tokenizer.shared": {"model.tied_embeddings": "none"},
    "model.max_length": {"model.positions": "learned"},
    "model.max_distance": {"model.positions": "relative"},
    "training.batch_sentences": {"training.batch_tokens": None},
    "training.patience": {"training.epochs": 5, "training.learning_rate": 0.5},
}
Trained = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """From dotted values to the name of the weights that training with them leaves, which is one epoch if not said."""
    folder = write_digits(tmp_path_factory.mktemp("digits"), train=60, valid=2, test=2)
    for language in ("en", "fr"):  # what each normalization takes for something else
        with (folder / f"train.{language}").open("a", encoding="utf-8") as file:
            file.writelines(
                f"un\u200bun É E\u0301 5½ ² {hashlib.md5(bytes([line])).hexdigest()}\n" for line in range(20)
            )
    base = TranslationConfig.model_validate(
        {
            "data": {"path": str(folder), "max_tokens": 40},
            "tokenizer": {"vocab_size": 50},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 16, "num_heads": 4, "ffn_dim": 24},
            "training": {"epochs": 1, "batch_tokens": 200, "warmup_steps": 2},
        }
    )

    def weights(values: dict[str, Any]) -> str:
        *_, (_, model) = train(base.with_values(values), text_of(base.with_values(values), folder / "cache"))
        name = hashlib.sha256()
        for parameter in model.parameters():
            name.update(repr(parameter.shape).encode() + parameter.detach().numpy().tobytes())
        return name.hexdigest()

    return weights


def values_of(path: str) -> list[Any]:
    """All words of a choice; of other fields what stands above, and nothing for a field that is new."""
    section, name = path.split(".")
    annotation = type(getattr(TranslationConfig(), section)).model_fields[name].annotation
    words = [value for value in get_args(annotation) if isinstance(value, str)]
    return words or VALUES.get(path, [])


def test_the_same_values_give_the_same_weights(trained: Trained) -> None:
    assert trained({}) == trained({})


@pytest.mark.parametrize("path", SEARCHABLE)
def test_each_value_that_can_be_drawn_changes_the_model(path: str, trained: Trained) -> None:
    values = values_of(path)
    assert len(values) >= 2, f"{path} is new: say in VALUES which of its values to compare"
    SearchSpace.model_validate({path: {"values": values}})
    found = [trained({**BESIDE.get(path, {}), path: value}) for value in values]
    assert len(set(found)) == len(values)
