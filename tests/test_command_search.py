"""A search whose trials a command trains: killed, resumed, ranked by the command's translations, and used."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from commands import search_tree
from test_problems import numbers
from test_run import COMMAND, ROOT, run

from search import UserError, load_run
from search.command.best import BestCommand
from search.record.journal import read_lines
from search.settings.known_runs import KEPT


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(search_tree(folder / "runs", finals__seeds=1, training__epochs=2)))
    return file


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> Path:
    done = run("--config", str(config), "--name", "undisturbed")
    assert done.returncode == 0, done.stderr
    for told in ("Ranking by test BLEU", "gives the numbers of an uninterrupted one", "the test stays closed until"):
        assert told in " ".join(done.stdout.split()), told
    return config.parent / "runs" / "undisturbed"


@pytest.mark.rare
def test_a_search_that_is_killed_finds_the_same(config: Path, undisturbed: Path) -> None:
    """The driver and all of its workers are killed, so no process is left to end the commands but their guards."""
    run_dir = config.parent / "runs" / "killed"
    driver = subprocess.Popen(
        [*COMMAND, "--config", str(config), "--name", "killed"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not (run_dir / "trials.jsonl").exists() or len(read_lines(run_dir / "trials.jsonl")) < 2:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    done = run("resume", str(run_dir))
    assert done.returncode == 0, done.stderr
    for name in ("trials", "finals"):
        assert numbers(run_dir, name) == numbers(undisturbed, name)
    ours, theirs = (load_run(each).ranking for each in (run_dir, undisturbed))
    same = [column for column in theirs if "seconds" not in column]
    assert ours[same].equals(theirs[same])


def test_it_has_promotion_intervals_a_report_and_a_model_to_use(undisturbed: Path) -> None:
    found = load_run(undisturbed)
    assert found.trials["epochs"].max() == 2 and found.trials["epochs"].min() == 1
    best, *_ = found.ranking.to_dict("records")
    assert best["test_bleu_low"] <= best["test_bleu"] <= best["test_bleu_high"] and best["trainer.model.rate"]
    assert {"test_chrf", "test_ter", "valid_bleu"} <= best.keys()
    page = found.report.read_text(encoding="utf-8")
    for told in (
        "Ranking by test BLEU",
        "What each setting did",
        "The trainer",
        "toy_trainer.py",
        "trainer.model.rate",
    ):
        assert told in page, told
    assert isinstance(found.best, BestCommand)
    assert found.best.translate(["the house", "", "a cat"])[1] == ""
    assert found.translate(["the house"]) == found.best.translate(["the house"])


@pytest.mark.rare
def test_bad_commands_are_bad_trials_and_the_search_goes_on(tmp_path: Path) -> None:
    outcomes = {
        "fails": "failed",
        "dies": "failed",
        "hangs": "failed",
        "rubbish": "failed",
        "diverges": "diverged",
        "nan": "diverged",
        "exceeds": "infeasible",
        "forks": "completed",
        "twice": "completed",
        "half": "completed",
    }
    tree = search_tree(tmp_path, command__timeout_seconds=5, finals__seeds=0, finals__top=1, training__epochs=2)
    tree |= {"trainer": {"model": {"rate": 0.1}, "does": "nothing", "at": 10}}
    tree |= {"space": {"trainer.does": {"values": list(outcomes)}}}
    tree["search"] = {"sampler": "grid", "scheduler": "none", "trials": None, "concurrency": 2, "max_retries": 1}
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(tree))
    done = run("--config", str(file), "--name", "bad")
    assert done.returncode == 0, done.stderr
    trials = load_run(tmp_path / "bad").trials
    assert dict(zip(trials["trainer.does"], trials["outcome"], strict=True)) == outcomes
    assert len(list((tmp_path / "bad" / "logs").glob("trials-*.txt"))) >= 7


def test_its_model_translates_on_the_command_line(undisturbed: Path) -> None:
    done = run("translate", str(undisturbed), stdin="the house\n\na cat\n")
    assert done.returncode == 0 and [bool(line) for line in done.stdout.splitlines()] == [True, False, True], (
        done.stderr
    )
    refused = run("translate", str(undisturbed), "--beam_size", "3", stdin="")
    assert (
        refused.returncode == 2 and "--beam_size: a command translates as its own configuration says" in refused.stderr
    )
    (undisturbed / "best" / "files" / "checkpoint-20" / "state.json").write_text("{}")
    with pytest.raises(UserError, match="best: files: is missing or was changed; resume writes it again"):
        load_run(undisturbed).best  # noqa: B018


def test_the_programs_of_somebody_elses_run_are_not_started(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(undisturbed.parent / "state"))
    monkeypatch.delenv(KEPT, raising=False)
    refused = run("resume", str(undisturbed))
    assert refused.returncode == 2 and "command: {" in refused.stderr and "its programs are started" in refused.stderr
