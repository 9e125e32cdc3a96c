"""bfloat16 products in training: near float32, with attention in float32 on a CPU, and resumed to the same numbers."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from corpora import write_digits
from rich.console import Console

from model import attend as attend_module
from search.cluster import precision as deciding
from search.cluster.slots import Slots
from search.driver.search_run import SearchRun
from search.settings.experiment import Experiment
from search.settings.stored import write_experiment
from trainables.acceleration import bfloat16
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.base.translator_config import Precision
from trainables.data.encoding.batching import training_batches
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


WIDE = {"model": {"d_model": 128, "ffn_dim": 64}, "data": {"limit": 300}, "tokenizer": {"vocab_size": 300}}


class Clock:
    """Takes the place of `time`: what is timed says how long it takes."""

    def __init__(self) -> None:
        self.now = 100.0

    def thread_time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made, threads = Clock(), torch.get_num_threads()
    monkeypatch.setattr(bfloat16, "time", made)
    torch.set_num_threads(2)
    yield made
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


class TimedStep:
    """A step in which the first one costs more in bfloat16, as it does."""

    seconds: ClassVar = {"float32": [1.0, 3.0, 2.0, 8.0], "bf16": [90.0, 2.0, 2.0, 2.0]}
    taken: ClassVar[list[tuple[int, ...]]] = []  # the shapes of batches

    def __init__(self, clock: Clock, config: TranslationConfig, prepared: Prepared, device: torch.device):
        assert device == CPU
        self.clock, self.left, self.begun = clock, iter(self.seconds[config.training.precision]), False

    def begin(self, seed: int) -> None:
        self.begun = True

    def __call__(self, source: torch.Tensor, target: torch.Tensor, rate: float) -> None:
        assert self.begun and torch.get_num_threads() == 1
        self.clock.now += next(self.left)
        self.taken.append((*source.shape, *target.shape))


def test_the_gain_is_that_of_the_median_step_of_a_training(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TranslationConfig.model_validate(WIDE)
    prepared = prepare(config.data, config.tokenizer, tmp_path)
    monkeypatch.setattr(bfloat16, "gain_of_products", lambda: 3.0)
    monkeypatch.setattr(bfloat16, "choose_step", partial(TimedStep, clock))
    for batches in ({"batch_tokens": 4096}, {"batch_tokens": 500}, {"batch_tokens": None, "batch_sentences": 20}):
        chosen = config.with_values({f"training.{key}": value for key, value in batches.items()})
        TimedStep.taken.clear()
        assert bfloat16.gain_of_bfloat16(chosen, tmp_path) == 1.5
        most = chosen.with_values({"training.batch_tokens": 1024} if batches == {"batch_tokens": 4096} else {})
        expected = islice(training_batches(prepared.train, most.training, config.seed, 1), 4)
        assert TimedStep.taken == [(*s.shape, *t.shape) for s, t in expected for _ in range(2)]


def test_a_step_that_can_gain_nothing_is_not_measured(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TranslationConfig.model_validate(WIDE)
    with monkeypatch.context() as patch:
        patch.setattr(bfloat16, "prepare", None)
        patch.setattr(bfloat16, "gain_of_products", lambda: 3.0)
        assert bfloat16.gain_of_bfloat16(config.with_values({"model.d_model": 120}), tmp_path) == 1, "too narrow"
        patch.setattr(bfloat16, "gain_of_products", lambda: 1.0)
        assert bfloat16.gain_of_bfloat16(config, tmp_path) == 1, "no instructions"
    monkeypatch.setattr(bfloat16, "gain_of_products", lambda: 3.0)
    huge = config.with_values({"model.d_model": 2**30})
    assert bfloat16.gain_of_bfloat16(huge, tmp_path) == 1, "its trials will say that it does not fit"


@dataclass
class TimedMatrix:
    """A matrix whose first product takes longest."""

    clock: Clock
    seconds: float
    first: float = 50.0

    def bfloat16(self) -> "TimedMatrix":
        return replace(self, seconds=self.seconds / 4, first=90.0)

    def __matmul__(self, other: "TimedMatrix") -> None:
        assert torch.get_num_threads() == 1
        self.clock.now += self.seconds + self.first
        self.first = 0.0


def test_the_gain_of_products_is_that_of_the_fastest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn", lambda *shape: (TimedMatrix(clock, 2.0), TimedMatrix(clock, 2.0)))
    assert bfloat16.gain_of_products() == 4.0


def test_auto_is_decided_by_the_slowest_gain_of_all_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there, told = 1.5, [1.3, 1.4], list[str]()
    measured: list[int] = []

    def gain(config: TranslationConfig, cache: Path) -> float:
        measured.append(config.model.d_model)
        return here

    def ask_workers(nodes: list[str], resource: str, question: object, *arguments: Any) -> list[float]:
        assert (nodes, resource, arguments[0]) == (["a node"], "CPU", "translation")
        if not there:
            raise UserError("a node is gone")
        return there

    monkeypatch.setattr(bfloat16, "gain_of_bfloat16", gain)
    monkeypatch.setattr(deciding, "ask_workers", ask_workers)
    monkeypatch.setattr(deciding, "joined_ray", lambda cluster: nullcontext())
    monkeypatch.setattr(deciding, "living_nodes", lambda: ["a node"])
    monkeypatch.setattr(deciding, "say", told.append)
    monkeypatch.setattr(deciding, "warn", told.append)

    def decided(tree: dict[str, Any], gpus: float = 0.0) -> Precision:
        told.clear()
        experiment = Experiment.model_validate(tree)
        found = deciding.decide_precision(experiment, Slots(2, gpus), Console(quiet=True))
        precision = as_translation(found.trial).training.precision
        assert found.trial == experiment.trial.with_values({"training.precision": precision})
        return precision

    space = {"space": {"model.d_model": {"values": [256, 512]}}}
    assert decided(space) == "bf16" and measured == [256], "the first trial is measured"
    assert "1.5 times as fast" in told[0]
    assert decided(space | {"cluster": "auto"}) == "bf16" and "1.3 times as fast" in told[0]
    assert decided(space, gpus=0.5) == "auto"
    assert decided({"search": {"deterministic": True, "concurrency": 2}}) == "auto"
    assert decided({"training": {"precision": "float32"}}) == "float32" and len(measured) == 2 and not told
    there.append(1.1)
    assert decided({"cluster": "auto"}) == "auto" and not told and decided({}) == "bf16"
    there.clear()
    assert decided({"cluster": "auto"}) == "auto" and "a node is gone" in told[0]
    here = 1.2
    assert decided({}) == "bf16"
    here = 1.1
    assert decided({"cluster": "auto"}) == "auto" and not told, "no node is asked"


def test_a_run_keeps_what_was_decided_when_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {**WIDE, "output_dir": str(tmp_path), "name": "run"}
    given = Experiment.model_validate(tree)
    ran: list[SearchRun] = []
    monkeypatch.setattr(SearchRun, "_run", lambda search: ran.append(search))
    monkeypatch.setattr(bfloat16, "gain_of_bfloat16", lambda config, cache: 2.0)
    SearchRun(given, set(), None, Console(quiet=True)).run()
    assert as_translation(ran[0].experiment.trial).training.precision == "bf16" and ran[0].plan
    assert ran[0].plan.extent.largest.config == ran[0].experiment.trial
    make_folder(given.run_dir)
    write_experiment(given.run_dir / "experiment.yaml", given)
    SearchRun(given, set(), None, Console(quiet=True)).run()
    assert ran[1].experiment is given, "a run that began before, in float32"


def test_a_processor_that_emulates_bfloat16_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(deciding, "warn", told.append)

    def warned(precision: str, gain: float, gpus: float = 0.0, **others: str) -> bool:
        monkeypatch.setattr(bfloat16, "gain_of_products", lambda: gain)
        experiment = Experiment.model_validate({"training": {"precision": precision}, **others})
        told.clear()
        deciding.warn_of_emulation(experiment, Slots(2, gpus))
        return bool(told)

    assert warned("bf16", 0.4) and "no instructions for it: products take 2.5 times as long" in told[0]
    assert not warned("bf16", 1.0) and not warned("float32", 0.4)
    assert not warned("bf16", 0.4, gpus=0.5) and not warned("bf16", 0.4, cluster="auto")
