"""Points of the whole space of architectures, for properties that all of them have."""

from typing import Any, get_args

from hypothesis import strategies as st
from pydantic import ValidationError

from model.config import ModelConfig

NUMBERS: dict[str, list[Any]] = {
    "encoder_layers": [1, 2, 3],
    "decoder_layers": [1, 2, 3],
    "d_model": [8, 16, 24],
    "num_heads": [1, 2, 4],
    "num_kv_heads": [None, 1, 2],
    "ffn_dim": [2, 7, 32],
    "max_length": [20, 30],
    "max_distance": [1, 9],
    "layer_drop": [0.0],  # it is of training alone
    "base_width": [None, 12],
    "init_from": [None],
}


def draw(values: dict[str, Any]) -> ModelConfig | None:
    try:
        return ModelConfig.model_validate(values)
    except ValidationError:
        return None


CONFIGS = (
    st.fixed_dictionaries(
        {
            name: st.sampled_from(NUMBERS[name] if name in NUMBERS else list(get_args(field.annotation)))
            for name, field in ModelConfig.model_fields.items()
            if not name.endswith("dropout")
        }
    )
    .map(draw)
    .filter(bool)
)
