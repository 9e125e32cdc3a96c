"""A search whose storage is an S3 of our own: what is sent and fetched, who may, and what a lost head leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import write_digits
from object_store import BUCKET, object_store
from test_run import COMMAND, assert_sound, write_config

from search import lease
from search.experiment import Experiment
from search.lease import Lease
from search.preparation import prepare_storage
from search.run_copy import RunCopy, fetch_run
from search.study import Study
from trainables.checkpoint import last_checkpoints, newest_checkpoint, save_checkpoint
from trainables.checkpoint_places import Checkpoints
from trainables.config import DataConfig, TokenizerConfig, TrialConfig
from trainables.errors import StorageFails, UserError
from trainables.preparing import prepare
from trainables.storage import Storage
from trainables.store import Store

DRIVER = json.dumps({"key": "first", "ended": True}).encode()


@pytest.fixture(scope="module")
def reach() -> Iterator[dict[str, str]]:
    """The environment in which the storage is reached."""
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture
def storage(reach: dict[str, str], request: pytest.FixtureRequest) -> Storage:
    """Of a run named after the test."""
    storage = Storage(f"s3://{BUCKET}/{request.node.name[:60]}/run", "first", "corpus")
    storage.run.write("driver.json", DRIVER)
    return storage


def no_warning(text: str) -> None:
    raise AssertionError(text)


# -- objects


def test_objects_are_whole_or_absent_and_made_once(storage: Storage, tmp_path: Path) -> None:
    store = storage.shared
    assert store.read("a/1") is None and not store.get("a/1", tmp_path / "none") and not list(tmp_path.iterdir())
    assert store.create("a/1", b"one") and not store.create("a/1", b"two") and store.read("a/1") == b"one"
    store.write("a/1", b"three")
    store.write("a/10", b"ten")
    assert store.get("a/1", tmp_path / "new" / "file") and (tmp_path / "new" / "file").read_bytes() == b"three"
    store.put(tmp_path / "new" / "file", "b")
    assert [key for key in store.find() if not key.startswith("run/")] == ["a/1", "a/10", "b"]
    store.remove("a/1")
    assert store.find("a") == ["a/10"], "a key that only begins alike stays"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://bucket/runs", r"storage: gs://bucket/runs: .*gcsfs.*; `pip install -e '.\[gcs\]'` brings it"),
        ("s9://bucket/runs", "storage: s9://bucket/runs: Protocol not known: s9"),
        ("s3://no-such-bucket/runs", "storage: s3://no-such-bucket/runs/.*bucket does not exist; is the bucket there"),
    ],
)
def test_a_storage_that_can_not_be_used_is_told(
    url: str, message: str, reach: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UserError, match=message):
        Store(url).try_out()


def test_a_storage_that_can_be_used_is_left_as_it_was(storage: Storage) -> None:
    storage.run.try_out()
    assert storage.run.find() == ["driver.json"]


# -- what comes to a node


def test_a_node_gets_corpus_and_tokenizer_without_the_test_split(
    reach: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    data = DataConfig(path=str(write_digits(tmp_path / "corpus")))
    config = TrialConfig(data=data, tokenizer=TokenizerConfig(vocab_size=60))
    head = {**config.model_dump(), "name": "run", "output_dir": str(tmp_path / "head")}
    experiment = Experiment.model_validate({**head, "storage": f"s3://{BUCKET}/nodes"})
    storage = prepare_storage(experiment)
    assert storage
    sent = b"".join(storage.shared.read(key) or b"" for key in storage.shared.find())
    secret = (tmp_path / "corpus" / "test.en").read_bytes().splitlines()[0]
    shutil.move(tmp_path / "corpus", tmp_path / "out-of-sight")  # the node sees no corpus
    here, there = (
        prepare(data, config.tokenizer, experiment.cache),
        prepare(data, config.tokenizer, storage.bring(config)),
    )
    assert here.valid_text == there.valid_text and len(here.train) == len(there.train)
    assert here.tokenizer.source.serialized_model_proto() == there.tokenizer.source.serialized_model_proto()
    assert json.dumps(here.valid_text.source[0]).encode() in sent and secret not in sent

    other = TokenizerConfig(vocab_size=55, shared=False)  # one that the driver has not made
    cache = storage.bring(config.model_copy(update={"tokenizer": other}))
    assert len(storage.shared.find("tokenizers")) == 3
    files = sorted(cache.glob("tokenizers/*/*.model"))
    assert {file.read_bytes() for file in files} == {storage.shared.read(k) for k in storage.shared.find("tokenizers")}


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
        replace(storage, driver="second").send(tmp_path, "trials/1", keep=2)
    assert storage.run.find("trials") == []


def test_checkpoints_of_trials_are_copied_removed_and_at_hand(storage: Storage, tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / "1", number)
        storage.send(tmp_path / "1", "trials/1", keep=2)
    places = Checkpoints(tmp_path / "run" / "trials", storage)
    places.copy(1, 12)
    places.copy(5, 13)
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
    with RunCopy(storage, run_dir, no_warning) as copy:
        search_in(run_dir)
        copy.send()
        (run_dir / "best" / "config.yaml").unlink()
        (run_dir / "report.html").write_text("whole")
        study = Study(run_dir / "study.db", "search", "maximize")  # what it writes lies in another file at first
        study.report(study.trials[0], 1, 12.5)
        copy.send()
        held = set(storage.run.find())
    assert held == {"driver.json", "experiment.yaml", "trials.jsonl", "study.db", "report.html"}
    found = fetch_run(storage.url, tmp_path / "other")
    assert Study(found / "study.db", "search", "maximize").trials[0].scores == {1: 12.5}
    second = replace(storage, driver="second")
    with RunCopy(second, found, no_warning):
        assert (found / "report.html").read_text() == "whole"
    (found / "report.html").write_text("newer")
    for driver in ("third", "fourth"):  # killed as soon as it had taken over, and just before
        before = storage.run.read("driver.json")
        killed = Lease(replace(storage, driver=driver), found)
        assert killed.take(), "this directory is the last driver's"
        killed._ended.set()
    storage.run.write("driver.json", before or b"")
    with RunCopy(second, found, no_warning):
        assert (found / "report.html").read_text() == "newer"
    with (
        pytest.raises(UserError, match="has gone on elsewhere since; move this folder away"),
        RunCopy(storage, run_dir, no_warning),
    ):
        pass
    with pytest.raises(UserError, match=r"not a run: it holds no experiment.yaml"):
        fetch_run(f"{storage.url}s", tmp_path)


def test_of_two_drivers_the_second_is_refused_until_the_first_is_silent(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(lease, "SILENT_SECONDS", 2.0)
    run_dir, second = new_run_dir(tmp_path), replace(storage, driver="second")
    first = RunCopy(storage, run_dir, no_warning)
    first.__enter__()
    search_in(run_dir)
    first.send()
    found = fetch_run(storage.url, tmp_path / "other")
    with (
        pytest.raises(UserError, match=rf"process {os.getpid()} on .* is running this search; wait"),
        RunCopy(second, found, no_warning),
    ):
        pass
    monkeypatch.setattr(lease, "BEAT_SECONDS", 60.0)  # as if its head were lost
    time.sleep(0.5)
    with RunCopy(second, found, no_warning) as copy:
        (found / "report.html").write_text("of the second")
        copy.send()
        with pytest.raises(StorageFails, match="another driver has taken"):
            first.__exit__(None)
    assert storage.run.read("report.html") == b"of the second"


def test_an_extension_cut_off_with_its_head_has_not_happened(storage: Storage, tmp_path: Path) -> None:
    run_dir, second = new_run_dir(tmp_path), replace(storage, driver="second")
    save(tmp_path / "trained", 1)
    with suppress(InterruptedError), RunCopy(storage, run_dir, no_warning) as copy:
        search_in(run_dir)
        storage.send(tmp_path / "trained", "trials/1", keep=2)
        copy.send()
        with copy.extension(moves=True):
            (run_dir / "earlier" / "1").mkdir(parents=True)
            for name in ("trials", "trials.jsonl"):
                (run_dir / name).rename(run_dir / "earlier" / "1" / name)
            copy.send()
            raise InterruptedError("the head is lost")
    assert "trials.jsonl" not in storage.run.find()
    found = fetch_run(storage.url, tmp_path / "other")
    with RunCopy(second, found, no_warning) as copy:
        assert (found / "trials.jsonl").exists() and not (found / "earlier").exists()
        with copy.extension(moves=False):
            pass
    held = set(storage.run.find())
    assert {"trials.jsonl", "trials/1/epoch-1/state.pt"} < held
    assert not any(key.startswith("earlier") or key.endswith(".tar") for key in held)
    assert not (found / "trials" / "1" / "epoch-1" / "state.pt").exists(), "checkpoints lie in the storage alone"


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
    store, deadline = Store(f"{url}/search"), time.monotonic() + 120
    while b'"epoch": 1' not in (store.read("trials.jsonl") or b""):
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
    held = {key: store.read(key) for key in store.find()}
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
