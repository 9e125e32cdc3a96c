"""Whatever happens to a deterministic search, load or the death of Ray: it does not hang, and finds the same."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import accept_interrupts
from test_run import COMMAND, SPACE, run, write_config

from search.record.journal import read_lines
from search.record.study import Study
from search.settings.known_runs import KEPT

SEARCH = {"trials": 5, "concurrency": 2, "deterministic": True, "scheduler": {"rungs": [1], "reduction_factor": 2}}
FINALS = {"top": 1, "seeds": 1, "beam_size": 1}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = {"epochs": 2, "batch_tokens": 128, "warmup_steps": 20}
    space = {**SPACE, "model.ffn_dim": {"values": [32, 512]}}  # they take unlike times
    return write_config(
        tmp_path_factory.mktemp("watched"), search=SEARCH, space=space, training=training, finals=FINALS
    )


@pytest.fixture(scope="module")
def expected(config: Path) -> list[Any]:
    done = run("--config", str(config), "--name", "calm")
    assert done.returncode == 0, done.stderr
    return outcome(config.parent / "runs" / "calm")


def outcome(run_dir: Path) -> list[Any]:
    board = json.loads((run_dir / "leaderboard.json").read_text())["ranking"]
    study = Study(run_dir / "study.db", "search", "maximize", mode="read")
    times = ("train_seconds", "eval_seconds", "time")
    return [
        [{key: line[key] for key in line if key != "train_seconds"} for line in board],
        [
            {name: value for name, value in line.stored().items() if name not in times}
            for line in read_lines(run_dir / "trials.jsonl")
        ],
        [(trial.params, trial.outcome, trial.attributes.clock) for trial in study.trials.values()],
    ]


@contextmanager
def load() -> Iterator[None]:
    """Other work, in bursts."""
    burn = "import time\nwhile True:\n end = time.time() + 1.5\n while time.time() < end: pass\n time.sleep(1)"
    others = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.rare  # test_ordering.py has it without Ray, and the test below compares two searches, too
def test_two_searches_with_two_slots_are_equal_to_the_last_digit(config: Path, expected: list[Any]) -> None:
    with load():
        done = run("--config", str(config), "--name", "loaded")
    assert done.returncode == 0, done.stderr
    assert outcome(config.parent / "runs" / "loaded") == expected


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Processes below one, with their command lines."""
    listed = subprocess.run(["ps", "-e", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True).stdout
    below = {pid}
    for line in sorted(listed.splitlines(), key=lambda line: int(line.split()[0])):
        child, parent, *words = line.split()
        if int(parent) in below:
            below.add(int(child))
            yield int(child), " ".join(words)


def start(config: Path, name: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--config", str(config), "--name", name, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_worker_niceness": "0", "COLUMNS": "100"},
        preexec_fn=accept_interrupts,
    )


def wait_for(driver: subprocess.Popen[str], file: Path) -> None:
    deadline = time.monotonic() + 120
    while not (file.exists() and file.stat().st_size):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.rare
@pytest.mark.parametrize(
    ("victim", "journal"),
    [
        ("raylet/raylet", "trials.jsonl"),
        ("gcs/gcs_server", "trials.jsonl"),
        ("runtime_env/agent/main.py", "trials.jsonl"),
        ("raylet/raylet", "finals.jsonl"),
    ],
)
def test_a_ray_that_dies_is_started_again(
    victim: str, journal: str, config: Path, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{Path(victim).stem}-{Path(journal).stem}"
    monkeypatch.delenv(KEPT, raising=False)  # left by a search in this process
    monkeypatch.setenv("XDG_STATE_HOME", str(config))  # a file, so nothing can be noted there of whose run it is
    driver = start(config, name, "--tracking.entity", "somebody")  # a key that takes --trust in a run of another
    run_dir = config.parent / "runs" / name
    wait_for(driver, run_dir / journal)
    for pid, command in descendants(driver.pid):
        if victim in command:
            os.kill(pid, signal.SIGKILL)
    shown, errors = driver.communicate(timeout=150)
    assert driver.returncode == 0, shown + errors
    assert "a process of Ray has died" in shown and "Traceback" not in shown + errors
    assert "will ask for --trust" in shown, shown
    assert outcome(run_dir) == expected


@pytest.mark.rare
def test_a_search_that_says_nothing_starts_anew_and_gives_up_in_the_end(config: Path) -> None:
    driver = start(config, "silent", "--search.watchdog_seconds", "0.01")
    shown, errors = driver.communicate(timeout=150)
    assert driver.returncode == 1, shown + errors
    assert (shown + errors).count("no trial has reported for") == 4 and "nothing is lost" in errors
    resumed = run("resume", str(config.parent / "runs" / "silent"), "--search.watchdog_seconds", "null")
    assert resumed.returncode == 0, resumed.stderr


def test_a_run_directory_that_disappears_is_noticed(config: Path, tmp_path: Path) -> None:
    driver = start(config, "gone")
    run_dir = config.parent / "runs" / "gone"
    wait_for(driver, run_dir / "trials.jsonl")
    run_dir.rename(tmp_path / "elsewhere")
    shown, errors = driver.communicate(timeout=100)
    assert driver.returncode in (1, 2), shown + errors
    assert "Traceback" not in shown + errors
