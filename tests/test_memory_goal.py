"""The memory of a model that translates: as much as its tensors have, and a goal and a limit of a search."""

from typing import Any

import pytest
import torch

from model.transformer import Transformer
from search.settings.costs import within_limits
from search.settings.experiment import Experiment
from search.space.space import Params
from search.translation.memory import TOKENS, memory_of
from trainables.base.translation_config import as_translation

MODEL = {"encoder_layers": 1, "decoder_layers": 3, "d_model": 32, "num_heads": 4, "ffn_dim": 64}


def experiment(**search: Any) -> Experiment:
    space = {"model.decoder_layers": {"values": [1, 3]}, "model.num_kv_heads": {"values": [1, 4]}}
    return Experiment.model_validate(
        {"model": MODEL, "tokenizer": {"vocab_size": 300}, "space": space, "search": {"trials": 4, **search}}
    )


@pytest.mark.parametrize("kv_heads", [1, 4])
def test_it_is_that_of_the_tensors_of_a_search_for_translations(kv_heads: int) -> None:
    wanted = experiment(speed={"batch": 2, "beam": 3})
    config = as_translation(wanted.trial.with_values({"model.num_kv_heads": kv_heads}))
    model = Transformer(config.model, 300, 300).eval()
    with torch.inference_mode():
        state = model.start_decoding(torch.full((2, TOKENS), 7))
        for _ in range(TOKENS):
            model.decode_step(torch.full((6,), 7), state)
    cached = [tensor for pair in state.memory for tensor in pair]
    cached += [tensor for cache in state.caches for tensor in (cache.keys, cache.values) if tensor is not None]
    found = sum(tensor.nbytes for tensor in (*model.parameters(), *cached))
    assert memory_of(wanted)(config) == pytest.approx(found / 2**20)


def test_weights_of_int8_take_a_byte() -> None:
    speed = {"engine": "ctranslate2", "quantization": "int8"}
    less, more = (memory_of(experiment(speed=each, exportable="ctranslate2")) for each in (speed, {}))
    config = as_translation(experiment().trial)
    assert more(config) - less(config) == pytest.approx(3 * config.num_parameters / 2**20)


def test_it_is_a_limit_and_a_goal() -> None:
    few, many = points = [Params({"model.decoder_layers": layers, "model.num_kv_heads": 4}) for layers in (1, 3)]
    memory = memory_of(experiment())
    least, most = (memory(experiment().trial.with_values(params)) for params in points)
    accept = within_limits(experiment(limits={"memory_mib": (least + most) / 2}))
    assert accept(few) is not None and accept(many) is None
    searched = experiment(goals=["valid_bleu", "-memory_mib"])
    assert searched.search.besides == ("memory_mib",)
