"""Models that train as one get the numbers of each by itself, through divergence, checkpoints and restarts."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import text_of, write_digits

from model.config import ModelConfig
from model.positions.kinds import KINDS
from model.special_tokens import BOS, EOS, PAD
from trainables.acceleration.captured import CapturedStep, choose_step
from trainables.acceleration.data_parallel import ParallelStep
from trainables.acceleration.graphs import Capturable, StepGraphs, make_capturable
from trainables.acceleration.group import Group
from trainables.acceleration.side_by_side import train_as_one
from trainables.acceleration.stackable import can_train_as_one
from trainables.acceleration.stacked import StackedStep
from trainables.base.config import flatten
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.preparing import Prepared
from trainables.training.device import CPU
from trainables.training.learner import Learner
from trainables.training.loop import EagerStep, train
from trainables.training.training_run import TrainingRun

# Of losses, relative. Sums in another order differ by 1e-7 in the first step; Adam makes whole steps of the noise where
# a gradient is zero (biases of keys), which by the third epoch was 3e-4 on one kind of processor, 2e-5 on another.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


def members(corpus: Path, **values: Any) -> list[TranslationConfig]:
    """Three trials that differ in all that they may; keyword a__b sets a.b of all."""
    base = TranslationConfig.model_validate(
        {
            "data": {"path": str(corpus)},
            "tokenizer": {"vocab_size": 40},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
            "training": {"epochs": 3, "batch_tokens": 512, "learning_rate": 0.005, "batch_shapes": 4},
        }
    ).with_values({key.replace("__", "."): value for key, value in values.items()})
    return [
        base.with_values({"seed": 1, "training.warmup_steps": 10}),
        base.with_values({"seed": 2, "training.learning_rate": 0.003, "model.dropout": 0.3, "training.clip_norm": 0.5}),
        base.with_values(
            {
                "seed": 3,
                "model.dropout": 0.0,
                "model.activation_dropout": 0.2,
                "training.label_smoothing": 0.0,
                "training.schedule": "inverse_sqrt",
                "training.weight_decay": 0.1,
                "training.ema_decay": 0.9,
            }
        ),
    ]


def stacked(
    configs: list[TranslationConfig], corpus: Path, folders: list[Path] | None = None, until: float = 99
) -> list[list[EpochReport | Diverged]]:
    """What each reports, clocks apart; stopped when the last one has reported epoch `until`."""
    text = text_of(configs[0], corpus / "cache")
    reports: list[list[EpochReport | Diverged]] = [[] for _ in configs]
    for number, report in train_as_one(configs, text, CPU, folders or []):
        if isinstance(report, EpochReport):
            assert report.devices == 1 / len(configs)
            report = replace(report, train_seconds=0, eval_seconds=0)
            if report.epoch == until and number == len(configs) - 1:
                reports[number].append(report)
                break
        reports[number].append(report)
    return reports


def train_alone(config: TranslationConfig, corpus: Path, folder: Path | None = None) -> list[EpochReport]:
    return [report for report, _ in train(config, text_of(config, corpus / "cache"), folder, CPU)]


def assert_alike(ours: list[EpochReport | Diverged], theirs: list[EpochReport]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, EpochReport)
        assert (one.epoch, one.step, one.score("tokens")) == (other.epoch, other.step, other.score("tokens"))
        assert one.score("train_loss") == pytest.approx(other.score("train_loss"), rel=TOLERANCE)
        assert one.score("valid_loss") == pytest.approx(other.score("valid_loss"), rel=TOLERANCE)
        assert one.score("valid_bleu") == pytest.approx(
            other.score("valid_bleu"), abs=3.0
        )  # a near tie may fall to another word


SHAPES: list[dict[str, Any]] = [
    {"model__positions": "sinusoidal"},
    {"model__positions": "rotary", "model__norm_type": "rms", "model__activation": "swiglu", "model__num_kv_heads": 1},
    {"model__positions": "alibi", "model__norm": "post", "model__tied_embeddings": "decoder"},
    {"model__positions": "none", "model__norm": "deep", "model__tied_embeddings": "none", "training__report_steps": 9},
]
STACKED = {kind for kind in KINDS if ModelConfig(positions=kind).stackable}


@pytest.mark.parametrize("kind", sorted(STACKED))
def test_each_kind_of_positions_that_can_be_stacked_has_a_shape(kind: str) -> None:
    assert kind in {shape["model__positions"] for shape in SHAPES}, f"add a shape with {kind} positions to SHAPES"


@pytest.mark.parametrize("shape", SHAPES)
def test_each_gets_the_numbers_that_it_gets_alone(shape: dict[str, Any], corpus: Path) -> None:
    configs = members(corpus, **shape)
    assert can_train_as_one(configs)
    for config, reports in zip(configs, stacked(configs, corpus), strict=True):
        assert_alike(reports, train_alone(config, corpus))


def test_one_that_diverges_says_so_once_and_leaves_the_others_alone(corpus: Path) -> None:
    configs = members(corpus)
    configs[1] = configs[1].with_values({"training.learning_rate": 1e20, "training.warmup_steps": 0})
    reports = stacked(configs, corpus)
    (error,) = reports[1]
    assert isinstance(error, Diverged) and "loss became" in str(error)
    for number in (0, 2):
        assert_alike(reports[number], train_alone(configs[number], corpus))


def test_restarted_they_end_as_if_undisturbed_from_the_last_checkpoint_of_all(corpus: Path, tmp_path: Path) -> None:
    configs, folders = members(corpus), [tmp_path / str(number) for number in range(3)]
    undisturbed = stacked(configs, corpus)
    assert stacked(configs, corpus, folders, until=2) == [reports[:2] for reports in undisturbed]
    (folders[1] / "epoch-2" / "state.pt").unlink()
    assert stacked(configs, corpus, folders) == undisturbed  # epoch 1 again, from the checkpoint
    assert stacked(configs, corpus, folders) == [reports[-1:] for reports in undisturbed]


def test_a_checkpoint_is_the_same_whoever_goes_on_from_it(corpus: Path, tmp_path: Path) -> None:
    configs, folders = members(corpus), [tmp_path / str(number) for number in range(3)]
    stacked(configs, corpus, folders, until=1)
    size = (folders[0] / "epoch-1" / "state.pt").stat().st_size
    assert_alike(train_alone(configs[0], corpus, folders[0]), train_alone(configs[0], corpus))  # type: ignore[arg-type]
    assert size < 1.05 * (folders[0] / "epoch-3" / "state.pt").stat().st_size, "a third of the stack, not all of it"
    others = [train_alone(configs[number], corpus, folders[number])[:2] for number in (1, 2)]
    assert [len(reports) for reports in others] == [2, 2]
    assert_alike(stacked(configs[1:], corpus, folders[1:])[0], train_alone(configs[1], corpus)[2:])


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # of values of other types
def changed(value: Any, name: str, *below: str) -> Any:
    """A copy whose field of this name, or one below it, is another; it is not validated."""
    return value.model_copy(update={name: changed(getattr(value, name), *below) if below else 12345})


def test_who_may_train_together(corpus: Path) -> None:
    first, second, third = members(corpus)
    assert can_train_as_one([first, second, third])
    own = {"model.dropout", "model.activation_dropout", "seed"}
    rates = "learning_rate warmup_steps schedule final_rate beta1 beta2 epsilon weight_decay ema_decay"
    own |= {f"training.{name}" for name in f"{rates} label_smoothing clip_norm".split()}
    for path in flatten(first.model_dump()):
        other = changed(first, *path.split("."))
        for team in ([first, other], [other, first], [first, other, third], [first, third, other]):
            assert can_train_as_one(team) == (path in own), path
    for path, value in {
        "training.batch_shapes": None,
        "model.positions": "t5",
        "model.attention_dropout": 0.1,
        "model.layer_drop": 0.1,
    }.items():
        both = [config.with_values({path: value}) for config in (first, second)]
        assert not can_train_as_one(both) and can_train_as_one(both[:1]), path
    assert not first.model.model_copy(update={"positions": "learned"}).stackable


def a_step_of(text: Prepared, config: TranslationConfig) -> tuple[torch.Tensor, torch.Tensor]:
    return next(training_batches(text.train, config.training, config.seed, 1))


class Unheard(Group):
    """A process of a group whose other processes say nothing."""

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        pass


def test_masks_of_dropout_follow_from_seed_round_and_process_and_differ_between_steps(corpus: Path) -> None:
    still = {"training.learning_rate": 1e-30, "model.dropout": 0.5}  # equal weights, so that masks alone differ
    configs = [members(corpus)[0].with_values({"seed": seed, **still}) for seed in (1, 2, 3)]
    text = text_of(configs[0], corpus / "cache")
    batch, weights = a_step_of(text, configs[0]), Learner(configs[0], text, CPU).state()

    def seed(config: TranslationConfig, number: int) -> int:
        run = TrainingRun(config, text, Learner(config, text, CPU), None)
        return run.seed(list(run.rounds.left(0))[number])

    def losses_alone(config: TranslationConfig, number: int, rank: int) -> list[float]:
        """The losses of two steps on the same batch."""
        step = ParallelStep(config, text, CPU, Unheard(rank, 2, corpus))
        step.learner.load(weights)
        step.begin(seed(config, number))
        source, target = (side.repeat_interleave(2, dim=0) for side in batch)  # each process takes every other row
        found = [0.0]
        for _ in range(2):
            step(source, target, 0.0)
            found.append(step.loss())
        return [after - before for before, after in pairwise(found)]

    alone = {
        (config.seed, number, rank): losses_alone(config, number, rank)
        for config in configs
        for number in (0, 1, 2)
        for rank in (0, 1)
    }
    every = [loss for pair in alone.values() for loss in pair]
    assert len(set(every)) == 3 * 3 * 2 * 2, "no masks twice"
    together = StackedStep(configs, text, CPU)
    for learner in together.learners:
        learner.load(weights)
    for number in (1, 0):  # in any order: a round's masks are its own
        together.begin([seed(config, number) for config in configs])
        before = [0.0] * 3
        for place in range(2):
            together([batch] * 3, [0.0] * 3)
            found = [after - earlier for after, earlier in zip(together.losses(), before, strict=True)]
            before = together.losses()
            assert found == pytest.approx([alone[each, number, 0][place] for each in (1, 2, 3)], rel=1e-4)


def test_the_step_that_a_gpu_captures_is_the_eager_step(corpus: Path) -> None:
    config = members(corpus)[0].with_values({"model.dropout": 0.1})
    text = text_of(config, corpus / "cache")
    found = []
    for step in (EagerStep(config, text, CPU), CapturedStep(config, text, CPU)):
        step.begin(seed=1)
        step(*a_step_of(text, config), 0.01)
        # Not the weights: where a gradient is nothing but rounding, as that of keys' biases, Adam goes by its sign.
        found.append((step.loss(), [parameter.grad for parameter in step.learner.model.parameters()]))
    torch.testing.assert_close(*found)


def test_steps_are_captured_on_a_gpu_where_batches_have_few_shapes(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("CapturedStep", "EagerStep"):
        monkeypatch.setattr(f"trainables.acceleration.captured.{kind}", lambda *_, kind=kind: kind)
    shaped = members(corpus)[0]
    text, free = text_of(shaped, corpus / "cache"), shaped.with_values({"training.batch_shapes": None})
    chosen: list[object] = [
        choose_step(config, text, torch.device(kind)) for config in (shaped, free) for kind in ("cuda", "cpu")
    ]
    assert chosen == ["CapturedStep", "EagerStep", "EagerStep", "EagerStep"]


@pytest.mark.parametrize("member", [0, 2])
def test_fixing_what_a_capture_needs_changes_nothing(member: int, corpus: Path) -> None:
    config = members(corpus, model__base_width=8)[member]
    text = text_of(config, corpus / "cache")
    states = []
    for fixed in ([], [0], [1], [0, 1]):  # before which of two steps
        step = CapturedStep(config, text, CPU)
        step.begin(seed=1)
        for number in range(2):
            if number in fixed:
                make_capturable(step.learner)
            step(*a_step_of(text, config), 0.01)
        state = step.learner.state()
        states.append((state["model"], state["optimizer"]["state"]))
    for other in states[1:]:
        torch.testing.assert_close(other, states[0], rtol=0, atol=0)


def test_a_learner_takes_its_rate_where_a_capture_reads_it(corpus: Path) -> None:
    config = members(corpus)[0]
    learner = Learner(config, text_of(config, corpus / "cache"), CPU)
    make_capturable(learner)
    (place,) = (group.rate for group in learner.optimizer.groups)
    learner.optimizer.set_rate(0.25)
    assert float(place) == 0.25
    learner.load(learner.state())
    assert learner.optimizer.capturable


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: captured steps are CUDA graphs")
@pytest.mark.parametrize("count", [1, 3])
def test_captured_steps_give_the_numbers_of_those_that_are_not(
    count: int, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, device = members(corpus)[:count], torch.device("cuda")
    text = text_of(configs[0], corpus / "cache")
    captures: list[StackedStep] = []
    capture = StackedStep._capture

    def noted(step: StackedStep) -> StepGraphs:
        captures.append(step)
        return capture(step)

    def losses() -> list[float]:
        if count == 1:
            return [
                report.score("train_loss") for report, _ in train(configs[0], text, None, device, make_step=choose_step)
            ]
        reports = [report for _, report in train_as_one(configs, text, device)]
        return [report.score("train_loss") for report in reports if isinstance(report, EpochReport)]

    monkeypatch.setattr(StackedStep, "_capture", noted)
    captured = losses()
    assert len(captures) == 1 and len(captured) == 3 * count
    monkeypatch.setattr("trainables.acceleration.stacked.batch_sizes", lambda *_: [])
    assert captured == pytest.approx(losses(), rel=0.01) and len(captures) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: captured steps are CUDA graphs")
def test_a_captured_step_reads_the_batch_it_is_given() -> None:
    device = torch.device("cuda")
    total = torch.zeros((), device=device, dtype=torch.int64)

    def add(source: torch.Tensor, target: torch.Tensor) -> None:
        total.add_(source.sum() + target.sum())

    steps = StepGraphs(Capturable(add, lambda *_: None, []), 1, [(2, 3, 4), (1, 2, 2)], device)
    total.zero_()
    for rows, columns in ((2, (3, 4)), (1, (2, 2)), (2, (3, 4))):
        steps(*(torch.full((1, rows, length), 5, device=device) for length in columns))
    assert int(total) == 5 * (14 + 4 + 14) and {PAD, BOS, EOS} == {0, 2, 3}
