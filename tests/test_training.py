"""One run: what it computes, and that it goes on after an interruption as if there had been none."""

import gc
import inspect
import json
import math
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch
import torch.nn.functional as F
from corpora import text_of, write_digits
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from model.special_tokens import BOS, PAD
from model.transformer import Transformer
from trainables.base.checkpoint_files import last_checkpoints, newest_checkpoint
from trainables.base.config import TrainingConfig
from trainables.base.errors import Diverged, UserError
from trainables.base.report import EpochReport
from trainables.base.rounds import Rounds
from trainables.base.translation_config import TranslationConfig, TranslationTraining
from trainables.data.encoding import preparing
from trainables.data.encoding.batching import count_batches, training_batches
from trainables.data.encoding.preparing import prepare
from trainables.data.encoding.sequences import EncodedSplit
from trainables.training import learner, loop, training_run
from trainables.training.checkpoint import load_state
from trainables.training.evaluation import reference_loss, translate
from trainables.training.gpu import GpuFigures, measure
from trainables.training.learner import build_model
from trainables.training.loop import EagerStep, train
from trainables.training.optimizer import learning_rate
from trainables.training.trained import load_model
from trainables.training.training_run import Batch
from trainables.translation import TRAINING

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


def tiny(corpus: Path, **values: Any) -> TranslationConfig:
    """A trial of 4 epochs; keyword a__b sets a.b."""
    config = TranslationConfig.model_validate(
        {
            "data": {"path": str(corpus)},
            "tokenizer": {"vocab_size": 40},
            "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
            "training": {"epochs": 4, "batch_tokens": 512, "learning_rate": 0.005, "warmup_steps": 10},
        }
    )
    return config.with_values({key.replace("__", "."): value for key, value in values.items()})


def run(
    config: TranslationConfig, corpus: Path, checkpoints: Path | None = None, until: float = 99
) -> tuple[list[EpochReport], dict[str, Tensor]]:
    """The reports, without what a clock says, and the last weights; stopped after epoch `until`."""
    reports: list[EpochReport] = []
    weights: dict[str, Tensor] = {}
    for report, model in train(config, text_of(config, corpus / "cache"), checkpoints, CPU):
        assert report.train_seconds > 0 and report.eval_seconds > 0
        reports.append(replace(report, train_seconds=0, eval_seconds=0))
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if report.epoch == until:
            break
    return reports, weights


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def undisturbed(corpus: Path) -> tuple[list[EpochReport], dict[str, Tensor]]:
    return run(tiny(corpus), corpus)


def test_the_same_seed_gives_the_same_numbers_another_seed_others(
    corpus: Path, undisturbed: tuple[list[EpochReport], dict[str, Tensor]]
) -> None:
    reports, weights = run(tiny(corpus), corpus)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert reports == undisturbed[0] and equal(weights, undisturbed[1])
    others, _ = run(tiny(corpus, seed=2), corpus)
    for one, other in zip(reports, others, strict=True):
        assert one.score("tokens") == other.score("tokens") > 0
        assert one.score("train_loss") != other.score("train_loss") and one.score("valid_loss") != other.score(
            "valid_loss"
        )


def test_a_checkpoint_goes_on_with_other_batches_at_the_next_epoch(corpus: Path, tmp_path: Path) -> None:
    run(tiny(corpus), corpus, tmp_path, until=2)
    reports, _ = run(tiny(corpus, training__batch_tokens=128), corpus, tmp_path)  # as an heir in pbt may
    assert [report.epoch for report in reports] == [2, 3, 4]
    assert reports[1].step == 3 * (reports[2].step - reports[1].step)


def test_stopped_and_resumed_it_ends_as_if_undisturbed(
    corpus: Path, undisturbed: tuple[list[EpochReport], dict[str, Tensor]], tmp_path: Path
) -> None:
    stopped, half_way = run(tiny(corpus), corpus, tmp_path, until=2)
    assert stopped == undisturbed[0][:2]
    first_again, weights = run(tiny(corpus), corpus, tmp_path, until=2)
    assert first_again == stopped[1:] and equal(weights, half_way)
    reports, weights = run(tiny(corpus), corpus, tmp_path)
    assert reports == undisturbed[0][1:] and equal(weights, undisturbed[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-3", "epoch-4"]
    again, weights = run(tiny(corpus), corpus, tmp_path)
    assert again == reports[-1:] and equal(weights, undisturbed[1])


@pytest.mark.parametrize("torn", ["state.pt", "report.json", "a missing state.pt", "a flipped bit", "a draft"])
def test_a_torn_checkpoint_is_skipped_and_it_ends_as_if_undisturbed(
    torn: str, corpus: Path, undisturbed: tuple[list[EpochReport], dict[str, Tensor]], tmp_path: Path
) -> None:
    run(tiny(corpus), corpus, tmp_path, until=3)
    newest = tmp_path / "epoch-3"
    if torn == "a draft":
        newest.rename(tmp_path / ".draft")
    elif torn == "a missing state.pt":
        (newest / "state.pt").unlink()
    elif torn == "a flipped bit":
        content = bytearray((newest / "state.pt").read_bytes())
        content[len(content) // 2] ^= 1
        (newest / "state.pt").write_bytes(content)
    else:
        whole = (newest / torn).read_bytes()
        (newest / torn).write_bytes(whole[: len(whole) // 2])
    reports, weights = run(tiny(corpus), corpus, tmp_path)
    assert reports == undisturbed[0][1:] and equal(weights, undisturbed[1])


def test_a_checkpoint_of_an_earlier_version_is_taken_if_it_can_be_read(corpus: Path, tmp_path: Path) -> None:
    run(tiny(corpus), corpus, tmp_path, until=2)
    for path in tmp_path.glob("epoch-*"):
        meta = json.loads((path / "report.json").read_text())
        del meta["sha256"], meta["seal"]
        (path / "report.json").write_text(json.dumps(meta))
    assert [path.name for path in last_checkpoints(tmp_path, 2)] == ["epoch-2", "epoch-1"]
    state = tmp_path / "epoch-2" / "state.pt"
    state.write_bytes(state.read_bytes()[:-1000])
    assert [path.name for path in last_checkpoints(tmp_path, 2)] == ["epoch-1"]


def test_a_checkpoint_holds_the_report_and_the_last_learning_rate(corpus: Path, tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    config = tiny(corpus, training__epochs=1)
    ((report, model),) = train(config, text_of(config, corpus / "cache"), tmp_path, CPU)
    found = newest_checkpoint(tmp_path)
    assert found is not None and found == (tmp_path / "epoch-1", report.stored())
    state = load_state(found[0], CPU)
    assert equal(state["model"], model.state_dict())
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    steps = sum(1 for _ in training_batches(prepared.train, config.training, 1, 1))
    assert state["optimizer"]["param_groups"][0]["lr"] == learning_rate(steps, steps, config.training)


def test_a_batch_passes_five_functions_in_two_files_on_its_way_to_the_loss(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[list[tuple[str, str]]] = []
    softmax = torch.softmax

    def noted(*arguments: Any, **options: Any) -> Tensor:
        if not paths:
            frames = [frame for frame in inspect.stack() if Path(frame.filename).parent.name == "training"]
            paths.append([(Path(frame.filename).name, frame.function) for frame in reversed(frames)])
        return softmax(*arguments, **options)

    monkeypatch.setattr(torch, "softmax", noted)
    next(train(tiny(corpus), text_of(tiny(corpus), corpus / "cache"), device=CPU))
    (path,) = paths
    assert path == [
        ("loop.py", "train"),
        ("loop.py", "__call__"),
        ("loop.py", "_add_gradients"),
        ("loss.py", "linear_cross_entropy"),
        ("loss.py", "forward"),
    ]


def test_it_is_plain_training(corpus: Path) -> None:
    """Two epochs against a loop that spells everything out."""
    changes = {
        "model__dropout": 0.0,
        "training__epochs": 2,
        "training__clip_norm": 0.9,
        "training__label_smoothing": 0.2,
    }
    config = tiny(corpus, **changes)
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    model = build_model(config, prepared, CPU)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    batches = [list(training_batches(prepared.train, config.training, config.seed, epoch)) for epoch in (1, 2)]
    step, clipped, losses = 0, 0, []
    for epoch in batches:
        nll, tokens = 0.0, 0
        for source, target in epoch:
            step += 1
            optimizer.param_groups[0]["lr"] = learning_rate(step, 2 * len(epoch), config.training)
            logits = model.output(model(source, target[:, :-1])).transpose(1, 2)
            gold = target[:, 1:]
            nll += F.cross_entropy(logits, gold, reduction="sum", ignore_index=PAD).item()
            tokens += int(((target != PAD) & (target != BOS)).sum())
            optimizer.zero_grad()
            F.cross_entropy(logits, gold, ignore_index=PAD, label_smoothing=0.2).backward()  # type: ignore[no-untyped-call]
            clipped += int(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.9) > 0.9)
            optimizer.step()
        losses.append(nll / tokens)
        assert tokens == prepared.train.target_tokens
    assert 0 < clipped < step
    reports, _ = run(config, corpus)
    assert [report.score("train_loss") for report in reports] == pytest.approx(losses, rel=1e-4)
    assert [report.score("tokens") for report in reports] == [tokens, tokens]
    valid_loss = reference_loss(model.eval(), prepared.valid) / prepared.valid.target_tokens
    assert reports[-1].score("valid_loss") == pytest.approx(valid_loss, rel=1e-3)


def test_a_training_may_end_within_an_epoch_and_goes_on_after_a_kill(corpus: Path, tmp_path: Path) -> None:
    config = tiny(corpus, training__epochs=1.3, training__report_steps=3)
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    epoch = count_batches(prepared.train, config.training)
    reports, model = run(config, corpus)
    steps = [report.step for report in reports]
    assert steps == [*range(3, steps[-1], 3), math.ceil(1.3 * epoch)] and reports[-1].epoch >= 1.3 - 1e-6
    for _ in zip(range(2), train(config, prepared, tmp_path), strict=False):
        pass
    *_, (last, same) = train(config, prepared, tmp_path)
    assert last.figures == reports[-1].figures
    assert all((model[name] == value).all() for name, value in same.state_dict().items())


def test_reports_but_the_last_are_scored_on_a_sample_of_the_validation_pairs(corpus: Path) -> None:
    some, whole = ({"training__epochs": 2, **more} for more in ({"training__valid_pairs": 7}, {}))
    sampled, _ = run(tiny(corpus, **some), corpus)
    full, _ = run(tiny(corpus, **whole), corpus)
    assert sampled[-1].figures == full[-1].figures and sampled[0].score("valid_loss") != full[0].score("valid_loss")
    prepared = prepare(tiny(corpus).data, tiny(corpus).tokenizer, corpus / "cache")
    ids, text = prepared.valid_sample(7)
    assert len(ids) == len(text) == 7 and ids.target_tokens < prepared.valid.target_tokens
    places = [prepared.valid_text.source.index(sentence) for sentence in text.source]
    assert places == sorted(places) and prepared.valid_sample(7)[1] == text and places != list(range(7))
    for row, place in enumerate(places):
        assert (ids.target.padded(np.array([row])) == prepared.valid.target.padded(np.array([place]))).all()
    assert prepared.valid_sample(None)[0] is prepared.valid_sample(10_000)[0] is prepared.valid


def test_so_many_pairs_are_scored_as_the_difference_that_matters_needs(corpus: Path) -> None:
    def scored(**settings: object) -> int | None:
        return tiny(corpus, **{f"training__{name}": value for name, value in settings.items()}).training.scored_pairs

    assert scored() == 2622 == scored(valid_difference=0.5) and scored(valid_difference=1.0) == 656
    assert scored(valid_pairs=7) == 7 == scored(valid_pairs=7, valid_difference=None)
    assert scored(valid_difference=None) is None


@pytest.mark.parametrize("steps", [None, 5])
def test_there_is_dropout_in_every_round_of_training_and_none_in_validation(
    steps: int | None, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_batch(split: EncodedSplit, config: TranslationTraining, seed: int, *_: int) -> Iterator[Batch]:
        return repeat(next(training_batches(split, config, seed, 1)), 5)

    # The weights stay as they are, and batches, too: what differs between rounds are masks alone.
    monkeypatch.setattr(preparing, "training_batches", first_batch)
    monkeypatch.setattr(training_run, "rounds_of", lambda _, config: Rounds(config, 5, 500))
    changes = {"training__learning_rate": 1e-12, "training__epochs": 3, "training__report_steps": steps}
    plain, _ = run(tiny(corpus, **changes, model__dropout=0.0), corpus)
    dropped, _ = run(tiny(corpus, **changes, model__dropout=0.5), corpus)
    valid_losses = [report.score("valid_loss") for report in plain + dropped]
    assert valid_losses == pytest.approx([valid_losses[0]] * 6, rel=1e-6)
    losses = [report.score("train_loss") for report in plain]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    noisy = [report.score("train_loss") for report in dropped]
    assert len(set(noisy)) == 3 and min(abs(loss - losses[0]) for loss in noisy) > 1e-3


def test_the_report_is_of_the_validation_split(corpus: Path, tmp_path: Path) -> None:
    config = tiny(corpus)
    ((report, model),) = list(train(config, text_of(config, corpus / "cache"), tmp_path, CPU))[-1:]
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    text, loss = prepared.valid_text, reference_loss(model, prepared.valid)
    assert report.score("valid_loss") == pytest.approx(loss / prepared.valid.target_tokens)
    assert report.score("valid_nll_per_char") == pytest.approx(loss / len("".join(text.target)))
    translations = translate(model, prepared.tokenizer, text.source)
    assert report.score("valid_bleu") == pytest.approx(
        sacrebleu.corpus_bleu(translations, [text.target]).score, abs=1e-9
    )
    loaded, tokenizer = load_model(config, corpus / "cache", tmp_path)
    assert translate(loaded, tokenizer, text.source) == translations
    ((_, resumed),) = train(config, text_of(config, corpus / "cache"), tmp_path, CPU)  # nothing is left to do
    assert translate(resumed, tokenizer, text.source) == translations, "without dropout"


def test_a_report_says_what_training_took_and_what_validation(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that a step moves by a second, and decoding by a thousand."""
    now = [0.0]

    def takes(seconds: float, of: Any) -> Any:
        def call(*arguments: Any) -> Any:
            now[0] += seconds
            return of(*arguments)

        return call

    for module in (loop, training_run):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(EagerStep, "__call__", takes(1, EagerStep.__call__))
    monkeypatch.setattr(EagerStep, "loss", takes(100, EagerStep.loss))  # on a GPU this waits for the steps
    monkeypatch.setattr(learner, "translate", takes(1000, translate))
    measured: list[str] = []

    def measure(device: torch.device) -> GpuFigures:
        measured.append("to here")
        return GpuFigures(1.5, 87.0)

    monkeypatch.setattr(loop, "start_measuring", lambda device: measured.append("from here"))
    monkeypatch.setattr(loop, "measure", measure)
    config = tiny(corpus, training__epochs=2)
    reports = [report for report, _ in train(config, text_of(config, corpus / "cache"), device=CPU)]
    steps = reports[0].step
    assert [(each.train_seconds, each.eval_seconds) for each in reports] == [(steps + 100, 1000.0)] * 2
    assert {(each.gpu_memory_gib, each.gpu_utilization) for each in reports} == {(1.5, 87.0)}
    assert measured == ["from here", "to here"] * 2


def test_a_model_beyond_memory_is_told_with_its_size(corpus: Path) -> None:
    with pytest.raises(UserError, match=r"its [\d,]{15,} parameters don't fit into memory; lower model.d_model"):
        run(tiny(corpus, model__d_model=10**9), corpus)


def test_a_model_without_a_checkpoint_can_not_be_loaded(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no complete checkpoint"):
        load_model(tiny(corpus), corpus / "cache", tmp_path)


ROUNDS = {"training__report_steps": 3, "training__batch_tokens": 512}


@pytest.fixture(scope="module")
def in_rounds(corpus: Path) -> tuple[list[EpochReport], dict[str, Tensor]]:
    return run(tiny(corpus, **ROUNDS), corpus)


def test_rounds_of_steps_end_with_training(
    corpus: Path, in_rounds: tuple[list[EpochReport], dict[str, Tensor]]
) -> None:
    config = tiny(corpus, **ROUNDS)
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")
    epoch_steps = count_batches(prepared.train, config.training)
    total = 4 * epoch_steps
    assert epoch_steps % 3 and total % 3, "rounds cross the ends of epochs, and the last is short"
    reports, _ = in_rounds
    assert [report.step for report in reports] == [*range(3, total, 3), total]
    assert [report.epoch for report in reports] == [report.step / epoch_steps for report in reports]
    assert sum(report.score("tokens") for report in reports) == 4 * prepared.train.target_tokens, (
        "nothing twice, nothing left out"
    )


@given(
    steps=st.integers(1, 5000), tokens=st.integers(1, 10**9), every=st.integers(1, 10**9), epochs=st.floats(0.01, 20)
)
def test_each_round_by_tokens_has_steps_and_ends_where_its_tokens_do(
    steps: int, tokens: int, every: int, epochs: float
) -> None:
    rounds = Rounds(TrainingConfig(epochs=epochs, report_tokens=every), steps, tokens)
    assume(rounds.count < 1000)
    if every * steps < tokens:
        with pytest.raises(UserError, match=r"training.report_tokens: .* is less than the .* target tokens of a batch"):
            rounds.check()
        return
    rounds.check()
    progress = list(rounds.left(0))
    ends = [rounds.step(each) for each in progress]
    assert progress == [*range(every, rounds.last, every), rounds.last] and len(progress) == rounds.count
    assert ends[-1] == rounds.total_steps and all(before < after for before, after in pairwise([0, *ends]))
    for end, done in list(zip(ends, progress, strict=True))[:-1]:
        assert end * tokens <= done * steps < (end + 1) * tokens
    assert rounds.epoch(rounds.last) == pytest.approx(epochs, abs=1 / tokens)


def test_by_tokens_it_learns_what_it_learns_by_steps(corpus: Path, tmp_path: Path) -> None:
    config = tiny(corpus, model__dropout=0.0, training__report_tokens=700, training__batch_tokens=512)
    whole, weights = run(config, corpus)
    by_steps, same = run(tiny(corpus, model__dropout=0.0, **ROUNDS), corpus)
    assert equal(weights, same) and whole[-1].figures["valid_bleu"] == by_steps[-1].figures["valid_bleu"]
    last = 4 * text_of(config, corpus / "cache").train.target_tokens
    assert [report.token for report in whole] == [*range(700, last, 700), last]
    assert sum(report.score("tokens") for report in whole) == last, "nothing twice, nothing left out"
    stopped, _ = run(config, corpus, tmp_path, until=whole[2].epoch)
    assert stopped == whole[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token-1400", "token-2100"]
    resumed, again = run(config, corpus, tmp_path)
    assert resumed == whole[2:] and equal(weights, again)


def test_rounds_change_when_it_reports_not_what_it_learns(corpus: Path) -> None:
    """Without dropout, whose draws follow the rounds."""
    plain, weights = run(tiny(corpus, model__dropout=0.0), corpus)
    for steps in (1, 4, 10**6):
        rounds, same = run(tiny(corpus, model__dropout=0.0, training__report_steps=steps), corpus)
        assert equal(weights, same)
        assert rounds[-1].score("valid_bleu") == plain[-1].score("valid_bleu") and rounds[-1].epoch == 4
        assert len(rounds) == -(-plain[-1].step // steps)


def test_stopped_in_the_middle_of_an_epoch_and_resumed_it_ends_as_if_undisturbed(
    corpus: Path, in_rounds: tuple[list[EpochReport], dict[str, Tensor]], tmp_path: Path
) -> None:
    stop = in_rounds[0][1].epoch
    assert stop != int(stop)
    stopped, _ = run(tiny(corpus, **ROUNDS), corpus, tmp_path, until=stop)
    assert stopped == in_rounds[0][:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-3", "step-6"]
    reports, weights = run(tiny(corpus, **ROUNDS), corpus, tmp_path)
    assert reports == in_rounds[0][1:] and equal(weights, in_rounds[1])
    again, weights = run(tiny(corpus, **ROUNDS), corpus, tmp_path)
    assert again == reports[-1:] and equal(weights, in_rounds[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training__learning_rate": 1e30}, r"the gradient became (nan|inf) in epoch 1, step \d+, at learning rate \d"),
        (
            {"training__learning_rate": 1e30, "training__batch_tokens": 10**6, "training__warmup_steps": 0},
            r"the validation loss became nan in epoch 1",  # a single step an epoch, and then nan
        ),
    ],
)
def test_divergence_is_told_plainly(values: dict[str, Any], message: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=message):
        run(tiny(corpus, **values), corpus, tmp_path)
    assert newest_checkpoint(tmp_path) is None
    # A slot's process goes on to the next trial: the model, and on a GPU its captured steps, must have gone by then.
    gc.collect()
    before = models()
    gc.disable()
    try:
        reports = list(TRAINING.train([tiny(corpus, **values)], corpus / "cache", [tmp_path], gpus=0, keep=2))
        assert isinstance(reports[-1][1], Diverged)
        assert models() == before
    finally:
        gc.enable()


def models() -> int:
    """How many there are in this process."""
    return sum(type(each) is Transformer for each in gc.get_objects())


def test_a_tiny_model_learns_to_translate(tmp_path: Path) -> None:
    corpus = write_digits(tmp_path, train=600)
    changes = {"tokenizer__vocab_size": 150, "model__d_model": 64, "model__dropout": 0.0}
    reports, _ = run(tiny(corpus, **changes, training__epochs=20, training__batch_tokens=256), corpus)
    assert reports[0].score("valid_bleu") < 20 and reports[-1].score("valid_bleu") > 90
    assert reports[-1].score("valid_loss") < 0.3 and reports[-1].score("train_loss") < 0.3


def test_models_of_the_same_seed_start_equal(corpus: Path) -> None:
    config = tiny(corpus)
    prepared = prepare(config.data, config.tokenizer, corpus / "cache")

    def weights(seed: int) -> dict[str, Tensor]:
        model: Transformer = build_model(config.with_values({"seed": seed}), prepared, CPU)
        return model.state_dict()

    assert equal(weights(1), weights(1)) and not equal(weights(1), weights(2))


def test_gpu_figures_are_what_the_gpu_tells_and_never_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure(torch.device("cpu")) == GpuFigures(None, None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * 2**29)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 87)
    assert measure(torch.device("cuda")) == GpuFigures(1.5, 87.0)
    monkeypatch.delattr(torch.cuda, "utilization")
    assert measure(torch.device("cuda")) == GpuFigures(1.5, None)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_a_process_that_trains_keeps_the_memory_that_it_frees() -> None:
    """In a process of its own, as the setting is for life. The heap grows while small blocks lie in the way."""
    program = (
        "import resource, torch\n"
        "from trainables.training.freed_memory import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(10): torch.ones(2**24)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "usual = faults(); keep_freed_memory(); print(usual, min(faults() for _ in range(10)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    usual, kept = map(int, done.stdout.split())
    assert kept < 1000 and kept < usual / 10
