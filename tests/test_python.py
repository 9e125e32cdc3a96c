"""Searches from Python: as the command, and nothing is left in the process that called."""

import ast
import html
import io
import logging
import math
import os
import re
import shutil
import signal
import sys
import threading
import time
import uuid
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from corpora import write_digits
from test_run import run, write_config

import search
from search import Experiment, Result, UserError, load_run, resume
from search.api.calls import _call
from search.record.journal import read_lines
from search.run import main
from search.run_directory.training_again import Repeated
from search.settings.known_runs import KEPT
from trainables.base.report import EpochReport
from trainables.base.sealing import read_sealed

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "runs" / "0.1"
TIMES = ("train_seconds", "eval_seconds", "time", "seal")


def process_state() -> list[object]:
    environment = {name: value for name, value in os.environ.items() if name not in (KEPT, "PYTEST_CURRENT_TEST")}
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    levels = {name: logging.getLogger(name).level for name in ("", "ray", "ray.tune", "optuna", "babeltune")}
    return [environment, handlers, levels, list(warnings.filters), sys.stdout, Path.cwd(), threading.active_count()]


def scores(run_dir: Path) -> list[dict[str, object]]:
    lines = read_lines(run_dir / "trials.jsonl")
    return [{key: value for key, value in line.stored().items() if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    settings = {"trials": 2, "sampler": "random", "scheduler": "none", "concurrency": 1}
    training = {"epochs": 1, "batch_tokens": 128}
    return write_config(folder, training=training, search=settings, finals={"top": 1, "seeds": 1})


@pytest.fixture(scope="module")
def found(config: Path) -> Result:
    before = process_state()
    result = search.search(Experiment.load(config, name="called"))
    assert process_state() == before
    return result


@pytest.mark.rare  # two more searches
def test_two_searches_of_a_process_equal_two_calls_of_the_command(config: Path, found: Result, tmp_path: Path) -> None:
    """They have two corpora and two seeds."""
    changes = {"data.path": str(write_digits(tmp_path / "other", train=500)), "search.seed": 1}
    other = search.search(Experiment.load(config, **changes, name="other"), quiet=True)
    options = {"typed": [], "typed-other": [f"--{key}={value}" for key, value in changes.items()]}
    for (name, said), called in zip(options.items(), (found, other), strict=True):
        done = run("--config", str(config), "--name", name, *said)
        assert done.returncode == 0, done.stderr
        typed = found.path.parent / name
        assert scores(called.path) == scores(typed)
        boards = [read_sealed(run_dir / "leaderboard.json")["ranking"] for run_dir in (called.path, typed)]
        assert boards[0][0]["test_bleu"] == boards[1][0]["test_bleu"]
    assert scores(found.path) != scores(other.path)


def test_a_trial_is_trained_again_as_in_the_search(
    found: Result, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = search.train(found.path, 1, quiet=True)
    said = capsysbinary.readouterr().out.decode()
    assert folder == found.path.parent / "called-trial-1"
    assert "epoch 1: valid BLEU" in said and "1 report equal to the search, in all figures" in said
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"un deux\n\ntrois\n")))
    assert main(["translate", str(folder)]) == 0
    assert len(capsysbinary.readouterr().out.splitlines()) == 3
    with pytest.raises(UserError, match="has no trial 7"):
        search.train(found.path, 7)
    with pytest.raises(UserError, match="called-trial-1 holds a run with"):
        search.train(found.path, 0, name=folder.name)
    report = EpochReport(1, 2, {"valid_bleu": 3.0, "train_loss": 1.0}, train_seconds=1, eval_seconds=1)
    other = replace(report, figures={"valid_bleu": 3.0, "train_loss": 1.1}, train_seconds=9)
    assert Repeated(report, other).differing == ["train_loss"] and Repeated(report, None).differing == []


def test_the_report_is_written_again_without_the_test(found: Result) -> None:
    page, opened = found.report.read_text(), (found.path / "test_opened.jsonl").read_text()
    found.report.unlink()
    assert found.write_report() == found.report
    # This process is not run.py.
    pages = [text.replace("python search/run.py", "babeltune") for text in (page, found.report.read_text())]
    assert pages[0] == pages[1] and (found.path / "test_opened.jsonl").read_text() == opened


FAILING = """
from search.samplers import Proposal

class Failing:
    def __init__(self, task):
        self.space = task.space

    def propose(self, study):
        if study.trials:
            raise UserWarning("no more ideas")
        return Proposal({path: domain.at(0.5) for path, domain in self.space.domains.items()})
"""


def test_a_search_that_fails_raises_and_leaves_no_process(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails after trials were trained."""
    (tmp_path / "my_rules.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    mark = f"MARK_{uuid.uuid4().hex}"
    monkeypatch.setenv(mark, "1")
    experiment = Experiment.load(config, **{"name": "failing", "search.sampler": "my_rules:Failing"})
    with pytest.raises(UserError, match=r"search.sampler: my_rules:Failing raised UserWarning: no more ideas; fix it"):
        search.search(experiment, quiet=True)
    assert len(read_lines(experiment.run_dir / "trials.jsonl")) == 1
    deadline = time.monotonic() + 30
    while left := processes_with(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_with(mark: str) -> list[str]:
    """The other processes of this machine with that name in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_text(errors="replace") and int(folder.name) != os.getpid():
                found.append((folder / "cmdline").read_text(errors="replace"))
    return found


def test_what_was_found_is_there_as_tables(found: Result) -> None:
    (winner,) = read_sealed(found.path / "leaderboard.json")["ranking"]
    assert found.ranking.loc[0, ["trial", "test_bleu"]].tolist() == [winner["trial"], winner["test_bleu"]]
    assert found.ranking.loc[0, "model.d_model"] == winner["config"]["model.d_model"]
    assert list(found.trials.index) == [0, 1] and set(found.trials["outcome"]) == {"completed"}
    assert found.reports["valid_bleu"].tolist() == found.trials["valid_bleu"].tolist()
    assert [trial.params for trial in found.study.trials] == [
        {path: row[path] for path in found.experiment.space.domains} for _, row in found.trials.iterrows()
    ]
    shown = found._repr_html_()
    assert shown and shown.startswith(f'<iframe srcdoc="{html.escape(found.report.read_text())}"')


def test_the_best_model_translates(found: Result) -> None:
    sentences = ["one two", "", "three\nfour"]
    translated = found.translate(sentences)
    typed = run("translate", str(found.path), stdin="one two\n\nthree four\n")
    assert translated == typed.stdout.splitlines() and translated[1] == "" and len(translated) == 3


def test_a_search_is_extended(found: Result, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened, before = (found.path / "test_opened.jsonl").read_text(), found.ranking
    more = resume(found.path, {"search.trials": 3})
    printed = capsys.readouterr().out
    assert len(more.trials) == 3 and "trial   2  completed" in printed
    assert "whose ranking stands; the test data stay closed" in printed, "the third trial is no finalist"
    assert (found.path / "test_opened.jsonl").read_text() == opened and more.ranking.equals(before)
    board = read_sealed(more.path / "leaderboard.json")
    assert board["search"]["trials"] == 3 and board["ranking"][0]["final_trials"] == [0]
    report = more.report.read_text(encoding="utf-8")
    assert "The best of 3 configurations" in report
    assert len(read_sealed(more.path / "report.json")["test_opened"]) == 1, "it counts as one ranking"
    assert len(more.translate(["one two"])) == 1
    assert load_run(more.path).ranking.equals(before), "what a report keeps is whole"
    assert (more.path / "finals" / "0").is_dir() and len(read_lines(more.path / "finals.jsonl")) == 1


def test_a_notebook_gets_lines_and_no_progress_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter's kernel sets it
    _call(["replay", "--tables", str(shutil.copytree(OLD, tmp_path / "old")), "--seeds", "1"], quiet=False)
    printed = capsys.readouterr().out
    assert "measure" in printed and "\x1b" not in printed


def test_mistakes_are_raised_and_name_what_is_wrong(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--search\.trails: unknown key; did you mean trials\?"):
        Experiment.load(config, **{"search.trails": 3})
    with pytest.raises(UserError, match="did you mean quickstart"):
        Experiment.load("quickstrat")
    wrong = Experiment.load(config, **{"data.path": str(tmp_path / "none"), "name": "wrong"})
    before = process_state()
    with pytest.raises(UserError, match="none"):
        search.search(wrong)
    assert process_state() == before and not wrong.run_dir.exists()
    with pytest.raises(UserError, match="not the directory of a run"):
        load_run(tmp_path)


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    result = load_run(shutil.copytree(OLD, tmp_path / "old"))
    assert len(result.trials) == 3 and len(result.ranking) == 1
    assert result.reports["epoch"].max() == 4


def test_the_documentation_names_what_there_is() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)", row)}
    calls = set(re.findall(r"`(search|resume|load_run)\(", page))
    assert calls == {"search", "resume", "load_run"}
    assert named == {name for name in dir(Result) if name[0] != "_"} | {"path", "experiment"}
    code, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert names <= {"Experiment", "search", "result", "print"}


def test_the_loop_of_the_documentation_finds_the_best_rate() -> None:
    """With a score that is best at a rate of 0.01."""
    _, code = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {"score": lambda rate, epoch: 10.0 + epoch - 5 * abs(math.log10(rate) + 2)}
    exec(code, found)
    assert abs(math.log10(found["best"].params["rate"]) + 2) < 0.2
    outcomes = Counter(trial.outcome for trial in found["study"].trials.values())
    assert outcomes.keys() == {"completed", "stopped"} and outcomes.total() == 20


def test_names_are_imported_when_they_are_asked_for() -> None:
    assert all(getattr(search, name) for name in search.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        search.nonsense  # noqa: B018
