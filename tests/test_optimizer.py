"""Settings of the training that papers tune: each against a reference, and all of them resumed after a kill."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import write_digits
from test_training import CPU, equal, run, tiny
from torch import Tensor

from model.config import ModelConfig
from model.transformer import Transformer
from trainables.base.translation_config import TranslationTraining
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.preparing import prepare
from trainables.training.learner import Learner, build_model
from trainables.training.loop import EagerStep
from trainables.training.loss import linear_cross_entropy
from trainables.training.optimizer import Average, Optimizer, learning_rate

ALL: dict[str, Any] = {
    "model__layer_drop": 0.3,
    "model__base_width": 16,
    "training__forward_tokens": 200,
    "training__schedule": "linear",
    "training__final_rate": 0.1,
    "training__weight_decay": 0.1,
    "training__ema_decay": 0.9,
    "training__beta1": 0.8,
    "training__bpe_dropout": 0.2,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


def small(**values: Any) -> Transformer:
    torch.manual_seed(1)
    sizes = {"d_model": 32, "num_heads": 2, "ffn_dim": 64, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
    return Transformer(ModelConfig.model_validate(sizes | values), 40, 40)


def some_ids(rows: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randint(4, 40, (rows, 7)), torch.randint(4, 40, (rows, 8))


def backward(model: Transformer, ids: tuple[Tensor, Tensor]) -> float:
    source, target = ids
    hidden = model(source, target[:, :-1])
    loss, _ = linear_cross_entropy(hidden, model.output.weight, target[:, 1:], 0.0, 1 / target[:, 1:].numel())
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_it_is_adam_with_the_decay_of_adamw_for_matrices(decay: float) -> None:
    settings = TranslationTraining(weight_decay=decay, beta1=0.8, beta2=0.9, epsilon=1e-4, learning_rate=0.01)
    models = small(), small()
    matrices = [p for p in models[1].parameters() if p.dim() > 1]
    others = [p for p in models[1].parameters() if p.dim() == 1]
    optimizer: Any = Optimizer(models[0], settings)
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    reference: Any = torch.optim.AdamW(groups, 0.01, (0.8, 0.9), 1e-4, decay)
    for _ in range(3):
        for model, each in zip(models, (optimizer, reference), strict=True):
            each.zero_grad()
            backward(model, some_ids())
            each.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_step_imports_no_compiler() -> None:
    program = """
import sys, torch
from model.config import ModelConfig
from model.transformer import Transformer
from trainables.base.translation_config import TranslationTraining
from trainables.training.optimizer import Optimizer
model = Transformer(ModelConfig(d_model=8, num_heads=1, ffn_dim=8), 9, 9)
before, optimizer = model.output.weight.clone(), Optimizer(model, TranslationTraining())
model.output(model(torch.ones(1, 3, dtype=int), torch.ones(1, 3, dtype=int))).logsumexp(-1).sum().backward()
optimizer.step()
assert not torch.equal(model.output.weight, before) and "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("most", [1, 150, 10_000])
def test_a_step_in_several_passes_is_that_of_one(most: int, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(corpus, model__dropout=0.0)
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    source, target = next(iter(training_batches(prepared.train, config.training, 1, 1)))
    passed, steps = [], []
    encode = Transformer.encode

    def encode_and_count(model: Transformer, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        passed.append(ids.numel())
        return encode(model, ids)

    monkeypatch.setattr(Transformer, "encode", encode_and_count)
    for tokens in (None, most):
        step = EagerStep(config.with_values({"training.forward_tokens": tokens}), prepared, CPU)
        step.begin(1)
        steps.append((step(source, target, 0.0), step.loss(), [p.grad for p in step.learner.model.parameters()]))
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-4, atol=1e-6)
    assert sum(passed) == 2 * source.numel() and max(passed[1:]) <= max(most, source.shape[1])


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("inverse_sqrt", 0.14, 0.1)]
)
def test_rates_fall_to_their_floor(schedule: Any, middle: float, end: float) -> None:
    settings = TranslationTraining(learning_rate=2.0, warmup_steps=10, schedule=schedule, final_rate=0.1)
    total = 1009  # 999 steps after the warm-up, and the one after the last is the end
    rates = [learning_rate(step, total, settings) / 2 for step in range(1, total + 1)]
    assert rates[9] == 1 and rates[4] == 0.5
    assert rates[509] == pytest.approx(middle, abs=0.001) and rates[-1] == pytest.approx(end, abs=0.001)
    assert all(before >= after >= 0.1 for before, after in pairwise(rates[9:]))


def test_the_average_of_weights_is_that_of_its_formula() -> None:
    model, averaged = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    averaged.load_state_dict(model.state_dict())
    average, expected = Average(model, averaged, 0.5), float(model.weight)
    for step in range(1, 13):
        model.weight.data += step
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * float(model.weight)
        assert float(averaged.weight) == pytest.approx(expected, rel=1e-5)


def test_the_average_is_what_is_validated_and_kept(corpus: Path, tmp_path: Path) -> None:
    plain, weights = run(tiny(corpus), corpus)
    reports, averaged = run(tiny(corpus, training__ema_decay=0.9), corpus, tmp_path)
    assert [r.figures["train_loss"] for r in reports] == [r.figures["train_loss"] for r in plain]
    assert reports[0].figures["valid_loss"] != plain[0].figures["valid_loss"] and not equal(weights, averaged)
    state = torch.load(tmp_path / "epoch-4" / "state.pt")
    assert equal(state["model"], averaged) and equal(state["trained"], weights)


def test_layers_are_left_out_of_training_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids, taken = small(encoder_layers=3, decoder_layers=2, layer_drop=0.3), some_ids(), []
    for layer in (*model.encoder, *model.decoder):
        layer.register_forward_hook(lambda *_: taken.append(1))
    for _ in range(300):
        model(*ids)
    assert len(taken) / 1500 == pytest.approx(0.7, abs=0.04)
    taken.clear()
    model.eval()(*ids)
    assert len(taken) == 5


def moves(width: int, base: int | None) -> list[float]:
    """How much four steps at one rate change hidden states of the encoder, and logits."""
    model = small(d_model=width, num_heads=width // 16, ffn_dim=2 * width, base_width=base)
    optimizer, ids = Optimizer(model, TranslationTraining()), some_ids(32)

    def outputs() -> list[Tensor]:
        with torch.no_grad():
            return [model.encode(ids[0])[0], model.output(model(ids[0], ids[1][:, :-1]))]

    before = outputs()
    for _ in range(4):
        optimizer.zero_grad()
        backward(model, ids)
        optimizer.set_rate(0.001)
        optimizer.step()
    return [float((after - first).std()) for first, after in zip(before, outputs(), strict=True)]


def test_with_a_base_width_a_rate_moves_outputs_alike_at_each_width() -> None:
    scaled, plain = ([moves(width, base) for width in (64, 512)] for base in (64, None))
    assert scaled[0] == plain[0], "at the base width nothing is scaled"
    for (narrow, wide), (_, unscaled) in zip(zip(*scaled, strict=True), zip(*plain, strict=True), strict=True):
        assert 0.6 < wide / narrow < 1.2 and unscaled / narrow > 3


@pytest.mark.parametrize("norm", ["pre", "post", "deep"])
def test_the_scale_of_outputs_can_be_folded_into_the_last_norm(norm: str) -> None:
    model, ids = small(base_width=8, norm=norm).eval(), some_ids()
    folded = model.with_folded_scale()
    assert folded is not model and folded.output_scale == 1 and model.output_scale == 0.5
    torch.testing.assert_close(folded(*ids), model(*ids))
    plain = small(norm=norm)
    assert plain.with_folded_scale() is plain


def test_a_training_with_all_settings_goes_on_after_a_kill(corpus: Path, tmp_path: Path) -> None:
    config = tiny(corpus, **ALL)
    whole, weights = run(config, corpus)
    run(config, corpus, tmp_path, until=2)
    resumed, again = run(config, corpus, tmp_path)
    assert resumed == whole[1:] and equal(weights, again)


def test_a_checkpoint_of_a_training_without_an_average_can_start_one_with_it(corpus: Path) -> None:
    """As `pbt` does."""
    prepared = prepare(tiny(corpus).data, tiny(corpus).tokenizer, corpus / "cache")
    plain, averaging = (Learner(tiny(corpus, training__ema_decay=decay), prepared, CPU) for decay in (0.0, 0.9))
    with torch.no_grad():
        plain.model.output.weight += 1
    averaging.load(plain.state())
    assert equal(averaging.model.state_dict(), averaging.evaluated.state_dict())
    assert not equal(averaging.model.state_dict(), build_model(tiny(corpus), prepared, CPU).state_dict())
