"""A search whose storage is an S3 of our own: what is sent and fetched, who may, and what a lost head leaves."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import write_digits
from heard import heard
from object_store import BUCKET, object_store
from safetensors.torch import save_file
from test_run import COMMAND, assert_sound, write_config

from model.config import ModelConfig
from model.transformer import Transformer
from search.record.study import Study
from search.remote import lease
from search.remote.fetching import fetch_run, sole_access
from search.remote.run_copy import RunCopy
from search.run import main
from search.settings.experiment import Experiment, experiment_class
from search.translation.preparation import PREPARATION
from trainables.base.checkpoint_files import last_checkpoints, newest_checkpoint
from trainables.base.data_config import DataConfig
from trainables.base.errors import StorageFails, UserError
from trainables.base.sealing import Damaged
from trainables.base.translation_config import TokenizerConfig, TranslationConfig
from trainables.base.yaml_files import dump_yaml
from trainables.data.encoding.preparing import prepare
from trainables.pretrained.model_files import locate
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.sharing.corpora import bring_corpus
from trainables.sharing.object_store import Store
from trainables.sharing.storage import Storage, find_place, new_driver
from trainables.training.checkpoint import save_checkpoint
from trainables.training.initial import at_hand, load_initial
from trainables.translation import TRAINING

ENDED = {"host": "elsewhere", "pid": 1, "ended": True}


@pytest.fixture(scope="module")
def reach() -> Iterator[dict[str, str]]:
    """The environment in which the storage is reached."""
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture
def storage(reach: dict[str, str], request: pytest.FixtureRequest) -> Storage:
    """The address of a run named after the test."""
    storage = Storage(f"s3://{BUCKET}/{request.node.name[:60]}/run", new_driver(), "corpus")
    storage.root.write("driver.json", json.dumps({"key": storage.driver, "whole": None, **ENDED}).encode())
    return storage


def after(storage: Storage) -> Storage:
    """As a later driver sees it."""
    return replace(storage, driver=new_driver())


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    with heard() as told:
        yield
    assert not told.warnings


@contextmanager
def working(storage: Storage, run_dir: Path, moves: bool = False) -> Iterator[RunCopy]:
    """The copy of a driver that has taken over, while it works."""
    with RunCopy(storage, run_dir) as copy:
        with copy.taking_over(moves):
            pass
        yield copy


# -- what comes to a node


def test_a_node_gets_corpus_and_tokenizer_without_the_test_split(
    reach: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    data = DataConfig(path=str(write_digits(tmp_path / "corpus")))
    config = TranslationConfig(data=data, tokenizer=TokenizerConfig(vocab_size=60))
    head = {**config.model_dump(), "name": "run", "output_dir": str(tmp_path / "head")}
    experiment = Experiment.model_validate({**head, "storage": f"s3://{BUCKET}/nodes"})
    storage = PREPARATION.share(experiment)
    assert storage
    sent = b"".join(storage.shared.read(key) or b"" for key in storage.shared.find())
    secret = (tmp_path / "corpus" / "test.en").read_bytes().splitlines()[0]
    shutil.move(tmp_path / "corpus", tmp_path / "out-of-sight")  # the node sees no corpus
    here, there = (
        prepare(data, config.tokenizer, experiment.cache),
        prepare(data, config.tokenizer, bring_corpus(storage, config)),
    )
    assert here.valid_text == there.valid_text and len(here.train) == len(there.train)
    assert here.tokenizer.source.serialized_model_proto() == there.tokenizer.source.serialized_model_proto()
    assert json.dumps(here.valid_text.source[0]).encode() in sent and secret not in sent

    other = TokenizerConfig(vocab_size=55, shared=False)  # one that the driver has not made
    cache = bring_corpus(storage, config.model_copy(update={"tokenizer": other}))
    assert len(storage.shared.find("tokenizers")) == 3
    files = sorted(cache.glob("tokenizers/*/*.model"))
    assert {file.read_bytes() for file in files} == {storage.shared.read(k) for k in storage.shared.find("tokenizers")}


@pytest.mark.parametrize("single", [False, True], ids=["best", "single-training"])
def test_a_node_gets_the_model_that_training_starts_from(
    reach: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    data, settings = DataConfig(path=str(write_digits(tmp_path / "corpus"))), TokenizerConfig(vocab_size=60)
    first = TranslationConfig(data=data, tokenizer=settings, model=ModelConfig(d_model=16, num_heads=2, ffn_dim=16))
    start, prepared = tmp_path / "start", prepare(data, settings, tmp_path / "head" / ".cache")
    start.mkdir()
    tokenizer = prepared.tokenizer.source
    model = Transformer(first.model, *[tokenizer.vocab_size()] * 2)
    (start / "tokenizer.model").write_bytes(tokenizer.serialized_model_proto())
    (start / "config.yaml").write_text(dump_yaml(first))
    if single:
        save_checkpoint(start, "epoch", 1, {"model": model.state_dict()}, {"epoch": 1})
    else:
        save_file(dict(model.named_parameters()), start / "model.safetensors")
    config = first.with_values({"model.init_from": str(start)})
    head = {**config.model_dump(), "name": "run", "output_dir": str(tmp_path / "head")}
    storage = PREPARATION.share(Experiment.model_validate({**head, "storage": f"s3://{BUCKET}/starts-{single}"}))
    start.rename(tmp_path / "out-of-sight")
    with pytest.raises(UserError, match=r"tokenizer\.taken_from: .* can't be read"):
        prepare(data, config.tokenizer, tmp_path / "another")
    there = at_hand(config, TRAINING.bring(config, storage))
    brought = prepare(data, there.tokenizer, TRAINING.bring(config, storage)).tokenizer.source
    assert brought.serialized_model_proto() == tokenizer.serialized_model_proto()
    started = Transformer(there.model, *[tokenizer.vocab_size()] * 2)
    load_initial(started, there)
    for ours, theirs in zip(started.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_node_fine_tunes_a_model_that_only_the_driver_has(
    reach: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    from tiny_pretrained import make_marian

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    text = write_digits(tmp_path / "corpus", train=60, valid=5, test=5)
    lines = [(text / f"train.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "fr")]
    model = make_marian(tmp_path / "model", list(zip(*lines, strict=True)), steps=1)
    tree = {
        "problem": "pretrained",
        "name": "run",
        "output_dir": str(tmp_path / "head"),
        "storage": f"s3://{BUCKET}/fine-tuning",
        "data": {"path": str(text), "max_tokens": 64},
        "pretrained": {"model": str(model)},
        "training": {"epochs": 1, "batch_tokens": 600},
    }
    experiment = experiment_class("pretrained").model_validate(tree)
    storage = experiment.definition.part("preparation").share(experiment)
    training = experiment.definition.part("training")

    def figures(cache: Path, folder: Path) -> dict[str, float]:
        ((_, report),) = training.train([experiment.trial], cache, [folder], 0, 1)
        return dict(report.figures)

    here = figures(experiment.cache, tmp_path / "a")
    for path in (text, model):
        path.rename(tmp_path / f"hidden-{path.name}")
    locate.cache_clear()
    assert figures(training.bring(experiment.trial, storage), tmp_path / "b") == here


# -- checkpoints


def save(folder: Path, number: int, text: str = "") -> None:
    save_checkpoint(folder, "epoch", number, {"weights": torch.arange(9.0) + number}, {"epoch": number, "text": text})


def numbers(storage: Storage, folder: Path, count: int = 9, at_most: int | None = None) -> list[str]:
    shutil.rmtree(folder, ignore_errors=True)
    storage.fetch("trials/1", folder, count, at_most)
    return [path.name for path in last_checkpoints(folder, 9)]


def test_the_newest_checkpoints_are_kept_and_a_torn_one_is_none(storage: Storage, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for number in range(1, 5):
        save(here, number)
        storage.send(here, "trials/1", keep=3)
    assert numbers(storage, there) == ["epoch-4", "epoch-3", "epoch-2"]
    assert numbers(storage, there, count=1) == ["epoch-4"]
    assert numbers(storage, there, at_most=3) == ["epoch-3", "epoch-2"]
    storage.run.remove("trials/1/epoch-4/report.json")  # the upload ended after the state
    assert numbers(storage, there, count=1) == ["epoch-3"]
    storage.run.write("trials/1/epoch-3/state.pt", b"of another")
    assert numbers(storage, there, count=1) == ["epoch-2"]


def test_a_driver_that_lost_its_last_seconds_trains_them_again(storage: Storage, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for number in (6, 7):
        save(here, number, "lost")
        storage.send(here, "trials/1", keep=2)
    assert numbers(storage, there, at_most=5) == [], "from the start, as nothing else is known to the study"
    shutil.rmtree(here)
    for number in (1, 2):
        save(here, number)
        storage.send(here, "trials/1", keep=2)
    assert numbers(storage, there) == ["epoch-2", "epoch-1"], "what lay ahead is gone"


def test_a_worker_of_a_lost_driver_writes_nothing(storage: Storage, tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(StorageFails, match="another driver has taken this search over"):
        after(storage).send(tmp_path, "trials/1", keep=2)
    assert storage.run.find("trials") == []


def test_checkpoints_of_trials_are_copied_removed_and_at_hand(storage: Storage, tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / "1", number)
        storage.send(tmp_path / "1", "trials/1", keep=2)
    places = Checkpoints(tmp_path / "run" / "trials", storage)
    places.copy(1, 12, 2)
    for source, number in ((5, 2), (1, 3)):
        with pytest.raises(Damaged, match=f"its checkpoint {number} is missing"):
            places.copy(source, 13, number)
    assert places.numbers() == {1, 12}
    places.remove(1)
    assert places.numbers() == {12}
    with places.at_hand(12) as folder:
        found = newest_checkpoint(folder)
        assert found and found[1]["epoch"] == 2 and found[0].is_relative_to(folder)
    assert not folder.exists()


# -- the run directory


def new_run_dir(folder: Path) -> Path:
    run_dir = folder / "run"
    (run_dir / "locks").mkdir(parents=True)
    return run_dir


def search_in(run_dir: Path) -> None:
    (run_dir / "best").mkdir()
    (run_dir / "experiment.yaml").write_text("of the run")
    (run_dir / "trials.jsonl").write_text('{"trial": 0, "epoch": 1}\n')
    (run_dir / "best" / "config.yaml").write_text("best")
    study = Study(run_dir / "study.db", "search", "maximize")
    study.add({}, {})


def test_a_run_directory_is_found_again_as_it_was_sent(storage: Storage, tmp_path: Path) -> None:
    run_dir = new_run_dir(tmp_path)
    with working(storage, run_dir) as copy:
        search_in(run_dir)
        copy.send()
        (run_dir / "best" / "config.yaml").unlink()
        (run_dir / "report.html").write_text("whole")
        study = Study(run_dir / "study.db", "search", "maximize")  # what it writes lies in another file at first
        study.report(study.trials[0], 1, 12.5)
        copy.send()
        sent = set(storage.run.find())
    assert sent == {"experiment.yaml", "trials.jsonl", "study.db", "report.html"}
    found = fetch_run(f"{storage.url}/", tmp_path / "other")
    assert Study(found / "study.db", "search", "maximize").trials[0].scores == {1: 12.5}
    second = after(storage)
    with working(second, found):
        assert (found / "report.html").read_text() == "whole"
    assert {key.partition("/")[0] for key in storage.root.find()} == {"driver.json", second.driver}
    with (
        pytest.raises(UserError, match="was continued elsewhere; move this folder away"),
        RunCopy(after(storage), run_dir),
    ):
        pass
    with pytest.raises(UserError, match=r"not a run, or a run that has not begun"):
        fetch_run(f"{storage.url}s", tmp_path)


def test_whenever_a_head_is_lost_its_copy_knows_of_no_report_that_the_journal_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every file that is sent, though reports arrive meanwhile; and journals, study, all else, in order."""
    storage = Storage(f"file://{tmp_path}/storage/run", new_driver(), "corpus")
    storage.root.write("driver.json", json.dumps({"key": storage.driver, "whole": None, **ENDED}).encode())
    run_dir, sent, epochs = new_run_dir(tmp_path), list[str](), [0]
    put, search = Store.put, Study(run_dir / "study.db", "search", "maximize")
    trial = search.add({}, {})

    def report() -> None:
        epochs[0] += 1
        with (run_dir / "trials.jsonl").open("a") as journal:
            journal.write(json.dumps({"trial": 0, "epoch": epochs[0]}) + "\n")
        search.report(trial, epochs[0], 1.0)

    def put_and_look(self: Store, file: Path, key: str) -> None:
        report()
        put(self, file, key)
        sent.append(key)
        report()
        content = storage.run.read("study.db")
        lines = (storage.run.read("trials.jsonl") or b"").splitlines()
        (tmp_path / "copy.db").write_bytes(content or b"")
        known = set(Study(tmp_path / "copy.db", "search", "maximize").trials[0].scores) if content else set()
        assert known <= {json.loads(line)["epoch"] for line in lines}, sent

    with working(storage, run_dir) as copy:
        (run_dir / "finals.jsonl").write_text("")
        (run_dir / "experiment.yaml").write_text("of the run")
        report()
        monkeypatch.setattr(Store, "put", put_and_look)
        for _ in range(2):
            (run_dir / "report.html").write_text(f"after {epochs}")
            sent.clear()
            copy.send()
            assert set(sent) >= {"trials.jsonl", "study.db", "report.html"}
            ranks = ["jsonl" in key or 2 * (key != "study.db") + 2 for key in sent]
            assert ranks == sorted(ranks), "what follows from a study comes after it"
        monkeypatch.undo()
    search.close()


def test_a_driver_that_died_as_it_took_over_is_followed_from_the_same_directory_without_waiting(
    storage: Storage, tmp_path: Path
) -> None:
    run_dir = new_run_dir(tmp_path)
    with working(storage, run_dir):
        search_in(run_dir)
    (run_dir / "report.html").write_text("newer than the storage has")
    for when in ("taken", "sent"):
        killed = RunCopy(after(storage), run_dir)
        assert killed.lease.take(), "this directory is the last driver's"
        killed.lease._ended.set()
        if when == "sent":
            killed.send()
    begun = time.monotonic()
    third = after(storage)
    with working(third, run_dir):
        assert (run_dir / "report.html").read_text() == "newer than the storage has"
    assert third.run.read("report.html") == b"newer than the storage has"
    assert time.monotonic() - begun < lease.SILENT_SECONDS


def test_of_two_drivers_the_second_is_refused_until_the_first_is_silent(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("BEAT", 0.2), ("HOLD", 1.5), ("SILENT", 2.0)):
        monkeypatch.setattr(lease, f"{name}_SECONDS", seconds)
    run_dir, second = new_run_dir(tmp_path), after(storage)
    first = working(storage, run_dir)
    with first as copy:
        search_in(run_dir)
        copy.send()
        found = fetch_run(storage.url, tmp_path / "other")
        with (
            pytest.raises(UserError, match=rf"process {os.getpid()} on .* is running this search; wait"),
            RunCopy(second, found),
        ):
            pass
        with (
            pytest.raises(UserError, match="is running this search; wait"),
            sole_access(storage.url, found),
        ):
            pass
        copy.lease._ended.set()  # as if its head were lost
        with working(second, found) as later:
            (found / "report.html").write_text("of the second")
            later.send()
            storage.run.write("report.html", b"of the first, late")
            with pytest.raises(StorageFails, match="another driver has taken"):
                copy.send()
            place = find_place(storage.url)
            assert place and place.read("report.html") == b"of the second"
        (run_dir / "report.html").write_text("of the first")
        with pytest.raises(StorageFails, match="another driver has taken"):
            copy.send()
        copy.lease.whole = None  # it has nothing to say at its end


def test_who_publishes_a_run_is_no_driver_of_it(storage: Storage, tmp_path: Path) -> None:
    run_dir = new_run_dir(tmp_path)
    with working(storage, run_dir):
        search_in(run_dir)
    with sole_access(storage.url, run_dir) as place:
        place.write("wandb.json", b"{}")
        with (
            pytest.raises(UserError, match="is running this search"),
            sole_access(storage.url, new_run_dir(tmp_path / "b")),
        ):
            pass
    third = after(storage)
    with working(third, run_dir):
        pass
    assert third.run.read("experiment.yaml") == b"of the run"


def test_an_older_directory_is_not_taken_for_the_run(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = new_run_dir(tmp_path / "runs")
    with working(storage, run_dir):
        search_in(run_dir)
    with working(after(storage), fetch_run(storage.url, tmp_path / "other")):
        pass
    with pytest.raises(UserError, match="was continued elsewhere"), sole_access(storage.url, run_dir):
        pass
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", storage.url]) == 2 and "a search has worked in it; move it away" in capsys.readouterr().err
    shutil.rmtree(run_dir)
    assert main(["fetch", storage.url]) == 0 and (run_dir / "experiment.yaml").read_text() == "of the run"
    assert main(["fetch", storage.url]) == 0, "a fetched one is fetched again"


def test_an_extension_cut_off_with_its_head_has_not_happened(storage: Storage, tmp_path: Path) -> None:
    run_dir, second, third = new_run_dir(tmp_path), after(storage), after(storage)
    save(tmp_path / "trained", 1)
    with working(storage, run_dir):
        search_in(run_dir)
        storage.send(tmp_path / "trained", "trials/1", keep=2)
    with suppress(InterruptedError), RunCopy(second, run_dir) as copy, copy.taking_over(moves=True):
        (run_dir / "earlier" / "1").mkdir(parents=True)
        for name in ("trials", "trials.jsonl"):
            (run_dir / name).rename(run_dir / "earlier" / "1" / name)
        copy.send()
        raise InterruptedError("the head is lost")
    found = fetch_run(storage.url, tmp_path / "other")
    with working(third, found):
        assert (found / "trials.jsonl").exists() and not (found / "earlier").exists()
    kept = set(third.run.find())
    assert {"trials.jsonl", "trials/1/epoch-1/state.pt"} < kept
    assert not any(key.startswith("earlier") for key in kept)
    assert not (found / "trials" / "1" / "epoch-1" / "state.pt").exists(), "checkpoints lie in the storage alone"


def test_an_extension_cut_off_goes_on_where_its_directory_is_left(storage: Storage, tmp_path: Path) -> None:
    run_dir, third = new_run_dir(tmp_path), after(storage)
    save(tmp_path / "trained", 1)
    with working(storage, run_dir):
        search_in(run_dir)
        storage.send(tmp_path / "trained", "trials/1", keep=2)
    moved = run_dir / "earlier" / "1" / "trials"
    with suppress(InterruptedError), RunCopy(after(storage), run_dir) as copy, copy.taking_over(moves=True):
        moved.parent.mkdir(parents=True)
        (run_dir / "trials").rename(moved)
        raise InterruptedError("killed, on a machine that lives")
    with working(third, run_dir):
        pass
    kept = set(third.run.find())
    assert {f"earlier/1/trials/1/epoch-1/{part}" for part in ("state.pt", "report.json")} < kept
    assert "trials/1/epoch-1/state.pt" not in kept and not list(moved.glob("*/*/*"))


# -- a whole search


def start(folder: Path, reach: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, **reach, "RAY_worker_niceness": "0"},
    )


def ranking(run_dir: Path) -> list[dict[str, Any]]:
    kept = ("rank", "group", "trial", "config", "seeds", "test_bleu", "test_bleu_ci", "valid_bleu")
    return [{k: entry[k] for k in kept} for entry in json.loads((run_dir / "leaderboard.json").read_text())["ranking"]]


@pytest.mark.cluster  # a minute and more; the parts are tested above
def test_a_search_whose_head_is_lost_goes_on_from_its_storage(reach: dict[str, str], tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        training={"epochs": 3, "batch_tokens": 128, "warmup_steps": 20},
        space={"model.d_model": {"values": [16, 32]}},
        search={"sampler": "grid", "scheduler": "none", "trials": None, "concurrency": 1},
        finals={"top": 2, "seeds": 0, "beam_size": 1},
    )
    url = f"s3://{BUCKET}/runs"
    named = ("--config", str(config), "--output_dir", "runs", "--name")
    peace = start(tmp_path / "peace", {}, *named, "search")
    lost = start(tmp_path / "lost", reach, *named, "search", "--storage", url)
    deadline = time.monotonic() + 120
    while b'"epoch": 1' not in (((place := find_place(f"{url}/search")) and place.read("trials.jsonl")) or b""):
        assert lost.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(lost.pid, signal.SIGKILL)
    lost.communicate()
    shutil.rmtree(tmp_path / "lost")

    taken = start(tmp_path / "taken", reach, *named, "search", "--storage", url)
    resumed = start(tmp_path / "found", reach, "resume", f"{url}/search")
    said = {process: process.communicate(timeout=250)[0] for process in (taken, resumed, peace)}
    assert taken.returncode == 2 and f"{url}/search exists; choose another name" in said[taken]
    assert resumed.returncode == 0 and peace.returncode == 0, said
    run_dir = tmp_path / "found" / "runs" / "search"
    assert_sound(run_dir, trials=2, epochs=3)
    assert ranking(run_dir) == ranking(tmp_path / "peace" / "runs" / "search")
    scores = [
        [trial.scores for trial in Study(folder / "runs" / "search" / "study.db", "search", "maximize").trials.values()]
        for folder in (tmp_path / "found", tmp_path / "peace")
    ]
    assert scores[0] == scores[1]
    assert "Traceback" not in said[resumed]

    extended = start(tmp_path / "found", reach, "resume", str(run_dir), "--finals.beam_size", "2")
    assert extended.wait(timeout=250) == 0, extended.communicate()[0]
    assert (run_dir / "earlier" / "1" / "leaderboard.json").exists()
    place = find_place(f"{url}/search")
    assert place
    held = {key: place.read(key) for key in place.find()}
    assert {key.split("/")[1] for key in held if key.endswith("state.pt")} == {"0", "1"}
    for name in (
        "earlier/1/leaderboard.json",
        "leaderboard.json",
        "report.html",
        "best/model.safetensors",
        "test_opened.jsonl",
        "trials/0/test.json",
    ):
        assert held[name] == (run_dir / name).read_bytes()
    assert not any(reach["AWS_SECRET_ACCESS_KEY"].encode() in (content or b"") for content in held.values())
