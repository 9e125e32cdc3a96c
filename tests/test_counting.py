"""Counts from the configuration alone equal those of the model that it makes."""

import torch
from architectures import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.config import ModelConfig
from model.counting import count_flops, count_parameters
from model.transformer import Transformer


@settings(max_examples=80, derandomize=True, deadline=None)
@given(CONFIGS, st.integers(1, 9), st.integers(1, 9))
def test_they_equal_those_of_the_model(config: ModelConfig, source_tokens: int, target_tokens: int) -> None:
    source_vocab = 13 if config.tied_embeddings == "all" else 17
    model = Transformer(config, source_vocab, 13).eval()
    where = f"; positions {config.positions} say theirs in model/positions/kinds.py"
    assert count_parameters(config, source_vocab, 13) == model.num_parameters(), f"parameters differ{where}"
    source, target = torch.full((1, source_tokens), 4), torch.full((1, target_tokens), 5)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.output(model(source, target))
    flops = count_flops(config, 13, source_tokens, target_tokens)
    assert flops == counter.get_total_flops(), f"operations differ{where}"


def test_a_model_beyond_any_memory_can_be_counted() -> None:
    d, f, vocab = 2**17, 2**19, 2**20
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * f + f + d, 2 * d
    encoder_layer, decoder_layer = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    expected = 2 * encoder_layer + 3 * decoder_layer + 2 * norm + vocab * d
    config = ModelConfig(encoder_layers=2, decoder_layers=3, d_model=d, ffn_dim=f)
    assert count_parameters(config, vocab, vocab) == expected
