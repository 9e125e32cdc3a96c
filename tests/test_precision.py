"""bfloat16 products in training: near float32, with attention in float32 on a CPU, and resumed to the same numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import write_digits

from model import attend as attend_module
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import Precision
from trainables.data.encoding.preparing import Prepared, prepare
from trainables.training.device import CPU
from trainables.training.loop import EagerStep, train
from trainables.training.precision import in_bfloat16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TranslationConfig, Prepared]:
    folder = tmp_path_factory.mktemp("precision")
    config = TranslationConfig().with_values(
        {
            "data.path": str(write_digits(folder / "digits", train=200)),
            "tokenizer.vocab_size": 60,
            "model.d_model": 32,
            "model.num_heads": 2,
            "model.ffn_dim": 64,
            "model.dropout": 0.1,
            "training.epochs": 3,
            "training.batch_tokens": 400,
        }
    )
    return config, prepare(config.data, config.tokenizer, folder / "cache")


def gradients(made: tuple[TranslationConfig, Prepared], precision: Precision) -> torch.Tensor:
    config, prepared = made
    step = EagerStep(config.with_values({"training.precision": precision, "model.dropout": 0.0}), prepared, CPU)
    step.begin(1)
    source, target = torch.randint(4, 50, (20, 9)), torch.randint(4, 50, (20, 11))
    step._add_gradients(source, target, 0.01)
    return torch.cat([p.grad.flatten() for p in step.learner.model.parameters() if p.grad is not None])


def test_gradients_are_near_those_of_float32(made: tuple[TranslationConfig, Prepared]) -> None:
    found: dict[Precision, torch.Tensor] = {}
    for precision in ("auto", "float32", "bf16"):
        torch.manual_seed(3)
        found[precision] = gradients(made, precision)
        assert found[precision].dtype == torch.float32
    assert torch.equal(found["auto"], found["float32"])
    assert not torch.equal(found["bf16"], found["float32"])
    assert torch.cosine_similarity(found["bf16"], found["float32"], dim=0) > 0.999


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_attention_is_in_float32_on_a_cpu(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []
    attend = attend_module.attend

    def spy(*arguments: Any, **options: Any) -> torch.Tensor:
        asked.append(arguments[0].dtype)
        return attend(*arguments, **options)

    monkeypatch.setattr(attend_module, "attend", spy)
    query, key, value = (torch.randn(2, 2, 5, 8, dtype=torch.bfloat16) for _ in range(3))
    bias = torch.randn(1, 2, 5, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = attend_module.attend(query, key, value, None, True, dropout, bias)
        assert torch.is_autocast_enabled("cpu")
    assert asked == [torch.bfloat16, torch.float32] and found.dtype == torch.float32


def test_a_resumed_training_has_the_same_numbers(made: tuple[TranslationConfig, Prepared], tmp_path: Path) -> None:
    config, prepared = made
    config = config.with_values({"training.precision": "bf16"})
    whole = [report.figures for report, _ in train(config, prepared, tmp_path / "whole")]
    begun = train(config, prepared, tmp_path / "parts")
    next(begun)
    begun.close()
    parts = [report.figures for report, _ in train(config, prepared, tmp_path / "parts")]
    assert parts == whole and len(whole) == 3
    assert whole[-1]["train_loss"] < whole[0]["train_loss"]


def test_a_gpu_that_emulates_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for native in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert in_bfloat16(torch.device("cuda"), "auto") is native
        assert in_bfloat16(torch.device("cuda"), "bf16") and not in_bfloat16(torch.device("cuda"), "float32")
