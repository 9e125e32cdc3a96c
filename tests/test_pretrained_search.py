"""A search that fine-tunes: it is killed, resumed, and ends with the numbers of one that was not."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpora import write_digits
from test_run import COMMAND, ROOT, run

from search import Experiment, load_run
from search.planning import probe
from search.planning.pretrained_models import MODELS
from search.record.journal import read_lines

for package in ("transformers", "peft"):
    pytest.importorskip(package, reason="needs the extra pretrained")
TIMES = ("train_seconds", "eval_seconds", "time", "seal")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_pretrained import make_marian

    folder = tmp_path_factory.mktemp("fine-tuning")
    text = write_digits(folder / "digits", train=300, valid=20, test=20)
    lines = [(text / f"train.{language}").read_text(encoding="utf-8").splitlines() for language in ("en", "fr")]
    model = make_marian(folder / "model", list(zip(*lines, strict=True)), steps=200)
    tree = {
        "problem": "pretrained",
        "output_dir": str(folder / "runs"),
        "data": {"path": str(text), "max_tokens": 64},
        "pretrained": {"model": str(model)},
        "training": {"epochs": 2, "batch_tokens": 600, "warmup_steps": 2},
        "space": {"lora.rank": {"values": [2, 4]}, "tuning": {"values": ["lora", "full"]}},
        "search": {"trials": 2, "concurrency": 1, "deterministic": True},
        "finals": {"top": 2, "seeds": 1, "beam_size": 2, "export": ["ctranslate2"]},
        "tracking": {"wandb": "disabled"},
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def numbers(run_dir: Path) -> list[dict[str, Any]]:
    lines = [line.stored() for name in ("trials", "finals") for line in read_lines(run_dir / f"{name}.jsonl")]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def whole(config: Path) -> Path:
    """A run that nothing disturbed."""
    done = run("--config", str(config), "--name", "whole")
    assert done.returncode == 0, done.stderr
    assert "parameters are trained in the base trial" in done.stdout
    assert "and 4 of finals are expected" in " ".join(done.stdout.split())
    return config.parent / "runs" / "whole"


@pytest.mark.rare
def test_a_killed_search_ends_with_the_same_numbers(config: Path, whole: Path) -> None:
    runs, arguments = config.parent / "runs", ["--config", str(config), "--name", "killed"]
    driver = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while sum(file.read_bytes().count(b"\n") for file in (runs / "killed").glob("*s.jsonl")) < 3:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    done = run("resume", str(runs / "killed"))
    assert done.returncode == 0, done.stderr
    assert numbers(runs / "killed") == numbers(whole)


def test_a_plan_measures_steps_and_decoding(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: that probes run in others is shown in test_planning.py."""
    monkeypatch.setattr(probe, "_barrier", threading.Barrier(1), raising=False)
    monkeypatch.setattr(probe, "SECONDS", 0.1)
    asked = Experiment.load(config)
    configs = [asked.trial, asked.trial.with_values({"tuning": "full"})]
    light, heavy = probe._measure_all(MODELS, configs, asked.cache, 2, 20)
    assert light.work < heavy.work and light.memory > 50e6
    assert light.train_seconds > 0 and light.valid_seconds > 0 and light.test_seconds > 0


def test_a_search_leaves_a_model_to_use(whole: Path) -> None:
    found = load_run(whole)
    best, *_ = found.ranking.to_dict("records")
    assert best["test_bleu"] > 10 and best["test_ppl_per_char"] < 2
    page = found.report.read_text(encoding="utf-8")
    assert "What the best model attends to" not in page and "pairs also in training" in page
    assert (whole / "best" / "model.safetensors").exists()
    sentence, blank = found.best.translate(["one two", ""])
    assert sentence and blank == ""
    card = (whole / "export" / "ctranslate2" / "README.md").read_text(encoding="utf-8")
    assert "rank 1 of 2 finalists of a search of 2 trials" in card and "| tuning |" in card
