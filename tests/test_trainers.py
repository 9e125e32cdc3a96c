"""Known trainers, run for real: `make trainers` makes their environment; without it these tests are skipped."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_problems import numbers
from test_run import COMMAND, run

from search import load_run
from search.command.check import check_command
from search.record.journal import read_lines
from search.settings.experiment import Experiment

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".trainers" / "bin" / "python"
there = pytest.mark.skipif(not PYTHON.exists(), reason="the environment of `make trainers` is missing")
SMALL: dict[str, dict[str, Any]] = {
    "joeynmt": yaml.safe_load((ROOT / "examples" / "joeynmt.yaml").read_text())["command"],
    "huggingface": {
        "kind": "huggingface",
        "train": f"{{python}} {ROOT / 'examples' / 'huggingface_translation.py'} {{config}}",
        "set": {"data": "{data}"},
    },
}
FILES: dict[str, Any] = {
    "joeynmt": str(ROOT / "examples" / "joey.yaml"),
    "huggingface": {"learning_rate": 0.001, "per_device_train_batch_size": 16, "d_model": 32, "report_to": "none"}
    | {"use_cpu": True, "disable_tqdm": True, "logging_steps": 5},
}


def small_tree(kind: str, output_dir: Path) -> dict[str, Any]:
    return {
        "problem": "command",
        "command": SMALL[kind] | {"python": str(PYTHON), "round": 10, "timeout_seconds": 200},
        "trainer": FILES[kind],
        "data": {"limit": 300},
        "output_dir": str(output_dir),
    }


@there
@pytest.mark.parametrize(("kind", "exact"), [("joeynmt", False), ("huggingface", True)])
def test_a_known_trainer_trains_pauses_continues_and_translates(kind: str, exact: bool, tmp_path: Path) -> None:
    experiment = Experiment.model_validate(small_tree(kind, tmp_path))
    said: list[str] = []
    found = check_command(experiment, said.append)
    assert found.exact is exact and found.first, said
    assert found.straight.step == 20 and {*experiment.search.metrics} <= found.straight.figures.keys()
    assert found.translations[1] == "" and len(found.translations) == 3


@there
@pytest.mark.rare
@pytest.mark.parametrize("kind", ["joeynmt", "huggingface"])
def test_a_search_that_is_killed_keeps_what_its_trainer_promises(kind: str, tmp_path: Path) -> None:
    """An exact trainer gives the numbers of an undisturbed search; of any, no score that was reported changes."""
    rate = "trainer.training.learning_rate" if kind == "joeynmt" else "trainer.learning_rate"
    tree = small_tree(kind, tmp_path / "runs") | {
        "training": {"epochs": 2},
        "space": {rate: {"min": 0.0001, "max": 0.003, "distribution": "log_uniform_values"}},
        "search": {"trials": 3, "concurrency": 1, "scheduler": {"kind": "asha_promotion", "rungs": [1]}},
        "finals": {"top": 1, "seeds": 1},
    }
    file, run_dir = tmp_path / "small.yaml", tmp_path / "runs" / "killed"
    file.write_text(yaml.safe_dump(tree))
    arguments, kept = ["--config", str(file), "--name", "killed"], []
    for most in (1, 3):  # by reports
        driver = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while not (run_dir / "trials.jsonl").exists() or len(read_lines(run_dir / "trials.jsonl")) < most:
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        kept = numbers(run_dir, "trials")
        arguments = ["resume", str(run_dir)]
    done = run("resume", str(run_dir))
    assert done.returncode == 0, done.stderr
    assert numbers(run_dir, "trials")[: len(kept)] == kept
    assert len(load_run(run_dir).trials) == 3
    if kind == "huggingface":
        done = run("--config", str(file), "--name", "undisturbed")
        assert done.returncode == 0, done.stderr
        for name in ("trials", "finals"):
            ours, theirs = (
                without_speed(numbers(tmp_path / "runs" / each, name)) for each in ("killed", "undisturbed")
            )
            assert ours == theirs


def without_speed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if not key.endswith(("_runtime", "_per_second"))} for line in lines
    ]
