"""Fine-tuning: the loss of transformers, the numbers of an uninterrupted training, codes that exist, a whole search."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import write_digits
from hub_server import REVISION, serve_hub
from tiny_pretrained import make_marian, make_nllb

from search.pretrained.preparation import PREPARATION
from search.settings.experiment import Experiment
from search.translation.finals_config import Decoding
from trainables.base.checkpoint_files import STATE, last_checkpoints
from trainables.base.errors import Diverged, UserError
from trainables.base.pretrained_config import FineTunedConfig
from trainables.base.report import EpochReport
from trainables.data.corpora.cache import cached_corpus
from trainables.data.encoding.batching import training_batches
from trainables.data.encoding.sequences import parts_of
from trainables.data.reading import text
from trainables.export.card import Origin
from trainables.export.exporting import Destination

needed = [pytest.importorskip(package, reason="needs the extra pretrained") for package in ("transformers", "peft")]

from search.pretrained.finals import FineTunedSystem  # noqa: E402
from trainables.pretrained import encoding  # noqa: E402
from trainables.pretrained.codec import load_codec  # noqa: E402
from trainables.pretrained.export import FineTunedModel, export  # noqa: E402
from trainables.pretrained.fine_tuning import FineTuner, FineTuningSteps  # noqa: E402
from trainables.pretrained.generation import logits_of, reference_loss, translate  # noqa: E402
from trainables.pretrained.network import count, expected_count, load_network, trained_parameters  # noqa: E402
from trainables.pretrained.preparing import prepare_pretrained  # noqa: E402
from trainables.pretrained.trained import load_trained, read_merged, save_merged  # noqa: E402
from trainables.pretrained.training import TRAINING  # noqa: E402

CPU = torch.device("cpu")
MAKERS = {"marian": make_marian, "nllb": make_nllb}
CODES: dict[str, dict[str, str]] = {"marian": {}, "nllb": {"source": "eng_Latn", "target": "fra_Latn"}}
WIDTH, FEED_FORWARD = 32, 64
Make = Callable[..., FineTunedConfig]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"), train=300, valid=20, test=20)


@pytest.fixture(scope="module", params=MAKERS)
def make(request: pytest.FixtureRequest, folder: Path) -> Make:
    """A configuration with the model of a family; dotted keys are written with two underscores."""
    torch.set_num_threads(1)
    lines = [(folder / f"train.{language}").read_text(encoding="utf-8").splitlines() for language in ("en", "fr")]
    model = MAKERS[request.param](folder / request.param, list(zip(*lines, strict=True)))

    def configured(**values: Any) -> FineTunedConfig:
        base = FineTunedConfig.model_validate(
            {
                "data": {"path": str(folder), "max_tokens": 64},
                "pretrained": {"model": str(model), **CODES[request.param]},
                "lora": {"rank": 4, "dropout": 0.1},
                "training": {"epochs": 1, "report_steps": 3, "batch_tokens": 300, "warmup_steps": 2},
            }
        )
        return base.with_values({key.replace("__", "."): value for key, value in values.items()})

    return configured


def reports(config: FineTunedConfig, cache: Path, checkpoints: Path, most: int = 99) -> list[dict[str, float]]:
    """The figures of the first reports of a training."""
    found: list[dict[str, float]] = []
    training = TRAINING.train([config], cache, [checkpoints], 0, 2)
    for _, report in training:
        assert isinstance(report, EpochReport)
        found.append(report.figures)
        if len(found) == most:
            training.close()
    return found


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_stopped_and_resumed_it_ends_in_the_same_bytes(make: Make, folder: Path, tmp_path: Path, tuning: str) -> None:
    config = make(tuning=tuning, training__learning_rate=0.002, training__dropout=0.1, training__epochs=2)
    whole = reports(config, folder / "cache", tmp_path / "whole")
    assert len(whole) > 2 and whole[-1]["valid_loss"] < whole[0]["valid_loss"]
    first = reports(config, folder / "cache", tmp_path / "parts", 2)
    assert first + reports(config, folder / "cache", tmp_path / "parts")[1:] == whole
    one, other = (last_checkpoints(tmp_path / name, 1)[0] / STATE for name in ("whole", "parts"))
    assert one.read_bytes() == other.read_bytes()


def test_the_loss_is_that_of_transformers(make: Make, folder: Path) -> None:
    config = make(lora__dropout=0.0)
    prepared = prepare_pretrained(config.data, config.pretrained, folder / "cache")
    codec = prepared.codec
    network = FineTuner(config, codec, CPU).model.eval()
    pairs = prepared.valid_text
    batch = codec.tokenizer(pairs.source, text_target=pairs.target, return_tensors="pt", padding=True)
    labels = torch.where(batch["labels"] == codec.tokenizer.pad_token_id, -100, batch["labels"])
    with torch.no_grad():
        theirs = network(**{**batch, "labels": labels}).loss * (labels != -100).sum()
    assert reference_loss(network, prepared.valid, 300) == pytest.approx(float(theirs), rel=1e-5)


def test_a_divided_batch_gives_the_gradients_of_the_whole_one(make: Make, folder: Path) -> None:
    found = []
    for tokens in (100, 10_000):
        config = make(training__forward_tokens=tokens, training__dropout=0.0, lora__dropout=0.0, tuning="full")
        prepared = prepare_pretrained(config.data, config.pretrained, folder / "cache")
        steps = FineTuningSteps(config, prepared, CPU)
        steps.begin(1)
        norm = steps(*next(training_batches(prepared.train, config.training, 1, 1)), 0.001)
        found.append((norm, steps.loss()))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_frozen_parts_are_not_learned(make: Make, folder: Path) -> None:
    config = make(tuning="full", training__freeze=("encoder", "embeddings"))
    learner = FineTuner(config, load_codec(config.pretrained), CPU)
    names = [name for name, _ in trained_parameters(learner.model)]
    assert names and all(".decoder." in name and "embed" not in name for name in names)
    adapted = FineTuner(make(training__freeze=("encoder",)), learner.codec, CPU)
    assert all(".decoder." in name and "lora" in name for name in adapted.trained)
    with pytest.raises(ValueError, match="freeze: leaves no layer to train"):
        make(training__freeze=("encoder", "decoder"))


@pytest.mark.parametrize(
    ("targets", "matrices"),
    [("query-value", [(WIDTH, WIDTH)] * 6), ("attention", [(WIDTH, WIDTH)] * 12),
     ("all-linear", [(WIDTH, WIDTH)] * 12 + [(WIDTH, FEED_FORWARD)] * 4)],
)  # fmt: skip
def test_adapters_have_the_parameters_of_their_rank(make: Make, targets: str, matrices: list[tuple[int, int]]) -> None:
    config = make(lora__targets=targets, lora__rank=3)
    codec = load_codec(config.pretrained)
    whole, trained = count(FineTuner(config, codec, CPU).model)
    assert trained == sum(3 * (height + width) for height, width in matrices)
    assert count(FineTuner(make(tuning="full"), codec, CPU).model)[0] == whole


@pytest.mark.parametrize(
    "values",
    [{}, {"lora__rank": 7, "lora__targets": "all-linear"}, {"tuning": "full"},
     {"tuning": "full", "training__freeze": ("embeddings", "encoder")}],
)  # fmt: skip
def test_a_plan_knows_the_sizes_without_the_weights(make: Make, values: dict[str, Any]) -> None:
    config = make(**values)
    assert expected_count(config) == count(load_network(config, CPU))


def test_what_is_kept_is_the_model_with_its_adapters(make: Make, folder: Path, tmp_path: Path) -> None:
    config = make(training__learning_rate=0.01)
    reports(config, folder / "cache", tmp_path / "trial")
    prepared = prepare_pretrained(config.data, config.pretrained, folder / "cache")
    codec = prepared.codec
    learner = FineTuner(config, codec, CPU)
    learner.load_weights(torch.load(last_checkpoints(tmp_path / "trial", 1)[0] / STATE)["model"])
    network, _ = load_trained(config, tmp_path / "trial", CPU)
    source, target = next(training_batches(prepared.train, config.training, 1, 1))
    with torch.no_grad():
        ours, theirs = (logits_of(each, source, target)[0] for each in (learner.model.eval(), network))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    (tmp_path / "best").mkdir()
    save_merged(network, codec, tmp_path / "best", 3, 0.5)
    kept = config.pretrained.model_copy(update={"model": str(tmp_path / "best")})
    again = FineTunedSystem(config, *read_merged(kept, CPU))
    sentences = prepared.valid_text.source
    assert again.translate(sentences, Decoding(3, 0.5)) == translate(network, codec, sentences, 3, 0.5)
    texts = codec.tokenizer(sentences, return_tensors="pt", padding=True)
    alone = codec.tokenizer.batch_decode(again.network.generate(**texts, max_length=30), skip_special_tokens=True)
    assert sum(a.strip() == b for a, b in zip(alone, again.translate(sentences, Decoding(3, 0.5)), strict=True)) >= 18
    assert all("Latn" not in line and "<" not in line for line in alone)


def test_codes_that_the_model_does_not_know_are_refused(make: Make) -> None:
    nllb = make().pretrained.source is not None
    wrong: list[tuple[dict[str, Any], str]] = (
        [
            ({"target": "fra_Latin"}, r"pretrained.target: 'fra_Latin' is no language of this model.*eng_Latn"),
            ({"target": None}, "pretrained.target: this model has many languages; its codes are like"),
            ({"target": "eng_Latn"}, "is the source, too"),
            ({"source": "▁un"}, "pretrained.source: '▁un' is no language"),
        ]
        if nllb
        else [({"source": "en"}, "no codes of source languages"), ({"target": "fr"}, "one target language")]
    )
    for values, message in wrong:
        with pytest.raises(UserError, match=message):
            load_codec(make().pretrained.model_copy(update=values))


def test_a_model_that_cannot_be_used_is_said_in_a_sentence(make: Make, folder: Path, tmp_path: Path) -> None:
    config = make()
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"pretrained__model": str(tmp_path / "none")}, "is not a folder"),
        ({"pretrained__model": str(folder)}, "lacks config.json"),
        ({"data__max_tokens": 65}, "data.max_tokens: 65 is more than the 64 that this model takes"),
    ]
    for values, message in mistakes:
        wrong = make(**values)
        with pytest.raises(UserError, match=message):
            prepare_pretrained(wrong.data, wrong.pretrained, folder / "cache")
    if config.pretrained.source:
        swapped = make(pretrained__source="fra_Latn", pretrained__target="eng_Latn")
        with pytest.raises(UserError, match="exchange the codes"):
            prepare_pretrained(swapped.data, swapped.pretrained, folder / "cache")


def test_a_loss_that_is_not_finite_ends_the_trial(make: Make, folder: Path, tmp_path: Path) -> None:
    config = make(tuning="full", training__learning_rate=1e20, training__warmup_steps=0)
    *_, (_, last) = TRAINING.train([config], folder / "cache", [tmp_path], 0, 2)
    assert isinstance(last, Diverged)


@pytest.mark.parametrize("overlong", ["drop", "truncate"])
def test_the_training_text_is_encoded_once_and_in_parts(
    make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlong: str
) -> None:
    config = make(data__max_tokens=5, data__overlong=overlong)
    monkeypatch.setattr(text, "BLOCK", 64)
    monkeypatch.setattr(encoding, "PART", 128)
    corpus, codec = cached_corpus(config.data, tmp_path), load_codec(config.pretrained)
    found = prepare_pretrained(config.data, config.pretrained, tmp_path).train
    expected: list[Any] = []  # the parts take turns at the blocks
    for part in range(3):
        for source, target in corpus.train.blocks(part, 3):
            expected += zip(codec.encode_source(source), codec.encode_target(target), strict=True)
    fits = [len(source) <= 5 and len(target) <= 6 for source, target in expected]
    assert found.num_parts == 3 and 0 < found.overlong == fits.count(False) < 300
    ids = [
        tuple(side.ids[slice(*side.offsets[row : row + 2])].tolist() for side in (part.source, part.target))
        for part in parts_of(found)
        for row in range(len(part))
    ]
    if overlong == "drop":
        expected = [pair for pair, whole in zip(expected, fits, strict=True) if whole]
    else:
        ends = [(source[-1], target[-1]) for source, target in expected]
        assert [(source[-1], target[-1]) for source, target in ids] == ends
        expected = [pair if whole else ([], []) for pair, whole in zip(expected, fits, strict=True)]
        ids = [pair if whole else ([], []) for pair, whole in zip(ids, fits, strict=True)]
    assert ids == [(list(source), list(target)) for source, target in expected]
    assert found.target_tokens == sum(part.target.total - len(part) for part in parts_of(found))

    prepare_pretrained.cache_clear()
    monkeypatch.setattr(encoding, "_write_part", None)
    assert len(prepare_pretrained(config.data, config.pretrained, tmp_path).train) == len(ids)


def test_averaged_checkpoints_are_the_mean_of_merged_models(make: Make, folder: Path, tmp_path: Path) -> None:
    config = make(training__learning_rate=0.01, lora__dropout=0.0)
    reports(config, folder / "cache", tmp_path)
    newest, before = last_checkpoints(tmp_path, 2)
    single = []
    for path in (newest, before):
        shutil.copytree(path, tmp_path / f"only-{path.name}" / path.name)
        single.append(load_trained(config, tmp_path / f"only-{path.name}", CPU)[0].state_dict())
    mean = load_trained(config, tmp_path, CPU, averaged=2)[0].state_dict()
    assert any(not torch.equal(single[0][name], single[1][name]) for name in mean)
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (single[0][name] + single[1][name]) / 2)


def test_two_processes_give_the_numbers_of_one(
    make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "nllb" in make().pretrained.model:
        pytest.skip("one family is enough")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = make(lora__dropout=0.0, training__report_steps=None, training__batch_tokens=600)
    alone, together = (
        [report for _, report in TRAINING.train([config], folder / "cache", [tmp_path / name], gpus, 2)]
        for name, gpus in (("alone", 0), ("together", 2))
    )
    for ours, theirs in zip(together, alone, strict=True):
        assert isinstance(ours, EpochReport) and isinstance(theirs, EpochReport)
        for name in ("train_loss", "valid_loss", "trained_parameters"):
            assert ours.figures[name] == pytest.approx(theirs.figures[name], rel=1e-4)


def test_a_model_that_changed_is_refused(make: Make, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(make().pretrained.model, copy)
    trial: dict[str, Any] = make(pretrained__model=str(copy), training__report_steps=None).model_dump(mode="json")
    experiment = Experiment.model_validate({"problem": "pretrained", "output_dir": str(folder), "name": "x", **trial})
    known = PREPARATION.pin_data(experiment, {})
    assert PREPARATION.pin_data(experiment, known) == known
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    with pytest.raises(UserError, match=r"config\.json changed since this run began"):
        PREPARATION.pin_data(experiment, known)


@pytest.mark.parametrize("form", ["ctranslate2", "huggingface"])
def test_an_export_translates_alike_or_is_not_written(make: Make, folder: Path, tmp_path: Path, form: str) -> None:
    pytest.importorskip("ctranslate2", reason="needs the extra export")
    config = make(training__learning_rate=0.005, tuning="full")
    reports(config, folder / "cache", tmp_path / "trial")
    network, codec = load_trained(config, tmp_path / "trial", CPU)
    (tmp_path / "best").mkdir()
    save_merged(network, codec, tmp_path / "best", 3, 0.5)
    valid = prepare_pretrained(config.data, config.pretrained, folder / "cache").valid_text
    origin = Origin("trial 0 of a test", "digits.", {"test BLEU": "1.00"}, "By hand.")
    model = FineTunedModel(config, network, codec, tmp_path / "best", 3, 0.5)
    found = export(model, Destination(form, tmp_path / "out"), valid, origin)
    assert found["float32"].equal == len(valid)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for told in ("A fine-tuned ", "trial 0 of a test", "| test BLEU | 1.00 |", '| tuning | "full" |', "a beam of 3"):
        assert told.removeprefix("a ") in card
    assert (
        "lora." not in card and str(folder) not in card and "{" not in card.partition("## Scores")[0].replace("{}", "")
    )
    other = FineTunedModel(config, FineTuner(config, codec, CPU).model.eval(), codec, tmp_path / "best", 3, 0.5)
    with pytest.raises(UserError, match="the exported model is another one"):
        export(other, Destination(form, tmp_path / "wrong"), valid, origin)
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(UserError, match="holds files"):
        export(model, Destination(form, tmp_path / "out"), valid, origin)


PROGRAM = """
import sys
from trainables.base.errors import UserError
from trainables.base.pretrained_config import PretrainedConfig
from trainables.pretrained.model_files import digests, locate
settings = PretrainedConfig(model="owner/tiny", revision=sys.argv[1] or None)
try:
    print(locate(settings), *digests(settings))
except UserError as error:
    print(error)
"""


def test_a_model_of_the_hub_is_fetched_once_by_its_commit(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "tokenizer_config.json": b"{}", "README.md": b"#", "model.safetensors": b"weights"}

    def located(revision: str, hub: str) -> str:
        settings = {"HF_ENDPOINT": hub or "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", PROGRAM, revision]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **settings}, cwd=Path(__file__).parents[1]
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with serve_hub("owner/tiny", files, "models") as (hub, asked):
        assert f"can change on the Hub; name the state that is meant; as it is now: {REVISION}" in located("", hub)
        found = located(REVISION, hub)
        assert found.split()[1:] == ["config.json", "model.safetensors", "tokenizer_config.json"]
        assert not [line for line in asked if "README" in line]
        assert "can't be fetched from the Hugging Face Hub" in located("f" * 40, hub)
    assert located(REVISION, "") == found, "without the Hub"
