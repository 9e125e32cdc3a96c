"""The report of a search that runs: written by a process of its own, cheap, and never over the final one."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from reports import line_of
from test_report import SPACE, Page

from search.driver import live_report
from search.driver.live_report import LiveReport
from search.record.journal import Journal
from search.record.study import Study
from search.report.live import LARGEST, LOCK, SHARE, Driver, keep_written
from search.run_directory.inputs import INPUTS
from search.settings.experiment import Experiment
from search.settings.stored import write_experiment
from search.space.space import Params
from trainables.base.locks import locked
from trainables.base.outcomes import Outcome
from trainables.base.sealing import write_sealed

LONG_AGO = 0.0  # as time: a page is due, however many CPU seconds the tests of this process have used

STANDING = "search: 2 of about 12 epochs, about 7 min left; 1/4 trials done, 1 running, best valid BLEU 9.00"
RUNNING = "trial   1   1 of 4 epochs  valid BLEU   4.00  d_model=128"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with a trial that has ended and one in training."""
    run_dir = tmp_path / "half"
    (run_dir / "locks").mkdir(parents=True)
    tree = {"name": "half", "output_dir": str(tmp_path), "training": {"epochs": 4}, "space": SPACE}
    experiment = Experiment.model_validate(tree)
    write_experiment(run_dir / "experiment.yaml", experiment)
    write_sealed(run_dir / INPUTS, {"starts": [{"at": "2026-01-02T03:04:05+0000", "device": "NVIDIA H200"}]})
    study, journal = Study(run_dir / "study.db", "search", "maximize"), Journal(run_dir / "trials.jsonl")
    for number, score in ((0, 9.0), (1, 4.0)):
        params: Params = {"model.d_model": 128, "training.learning_rate": 0.002}
        trial = study.add(params, experiment.space.to_optuna())
        study.report(trial, 1, score)
        journal.append(line_of(number, 1, valid_bleu=score))
    study.finish(study.trials[0], Outcome.STOPPED)
    journal.close()
    study.close()
    return run_dir


def test_the_page_says_what_runs_and_how_long_it_will(run_dir: Path) -> None:
    """It is written at once where the search has gone on for long, and the process ends with the driver."""
    read, write = os.pipe()
    message = json.dumps({"standing": STANDING, "running": [RUNNING]}).encode()
    os.write(write, b"{}\n" + message + b"\n" + message[:20])  # the last one is not whole yet
    driver = Driver(read)
    driver.listen()
    following = threading.Thread(target=keep_written, args=(run_dir, driver, LONG_AGO))
    following.start()
    report = run_dir / "report.html"
    end = time.monotonic() + 60
    while not report.exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.close(write)
    following.join(10)
    assert not following.is_alive() and driver.ended and report.exists()
    page = Page(report)
    assert "This search runs." in page.text and STANDING in page.text and RUNNING in page.text
    assert "NVIDIA H200" in page.text and "Ranking" not in page.text and "For a paper" not in page.text
    assert [row[:4] for row in page.tables[-1][1:]] == [["0", "stopped", "1", "9.00"], ["1", "running", "1", "4.00"]]
    (body,) = [attributes for tag, attributes in page.tags if tag == "body"]
    assert int(body["data-live"] or 0) >= 15, "it looks for a newer one"


def test_a_page_is_not_written_before_it_is_paid_for(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU seconds of the process are SHARE of the time since the driver began, at most."""
    read, write = os.pipe()
    pages: list[tuple[float, float]] = []
    monkeypatch.setattr("search.report.live._write", lambda *_, **__: pages.append((time.time(), 0.01)))
    monkeypatch.setattr(time, "process_time", lambda: sum(used for _, used in pages) + 0.005)
    begun = time.time()
    following = threading.Thread(target=keep_written, args=(run_dir, Driver(read), begun))
    following.start()
    while time.time() < begun + 2:
        os.write(write, b"{}\n")
        time.sleep(0.05)
    os.close(write)
    following.join(10)
    assert 2 <= len(pages) <= 3
    for number, (moment, _) in enumerate(pages):
        assert (0.005 + 0.01 * (number + (number > 0))) / SHARE <= moment - begun + 0.01


def test_the_final_report_is_not_replaced_by_a_page_that_comes_late(run_dir: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"{}\n")
    driver = Driver(read)
    with locked(run_dir / LOCK):
        following = threading.Thread(target=keep_written, args=(run_dir, driver, LONG_AGO))
        following.start()
        time.sleep(1)
        os.close(write)  # the driver is over, or was killed
        (run_dir / "report.html").write_text("final")
    following.join(10)
    assert not following.is_alive() and (run_dir / "report.html").read_text() == "final"


def test_the_process_comes_with_the_search_and_goes_with_it(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_report, "AGAIN", 0.0)
    trial = Study(run_dir / "study.db", "search", "maximize", "read").trials[0]
    with LiveReport(run_dir, first=0.0).of(lambda: (STANDING, (RUNNING,))) as live:
        live.begun -= 10_000
        live.trial_started(trial)
        end = time.monotonic() + 60
        while not (run_dir / "report.html").exists():
            assert time.monotonic() < end
            time.sleep(0.2)
    assert STANDING in (run_dir / "report.html").read_text()
    assert live.process and live.process.poll() is not None and not list(run_dir.glob(".report*"))


def test_a_search_does_not_wait_for_the_process(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads nothing, one that has died, and none at all."""
    trial = Study(run_dir / "study.db", "search", "maximize", "read").trials[0]
    monkeypatch.setattr(live_report, "AGAIN", 0.0)
    running = tuple(f"{number} {'x' * 200}" for number in range(50))
    for program in ("import time; time.sleep(60)", "pass", None):
        live = LiveReport(run_dir, first=0.0).of(lambda: (STANDING, running))
        if program:
            live.process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
            assert live.process.stdin
            os.set_blocking(live.process.stdin.fileno(), False)
            if program == "pass":
                live.process.wait()
        else:
            monkeypatch.setattr(sys, "executable", "/nowhere/python")
        started = time.monotonic()
        with live:
            for _ in range(40):
                live.trial_ended(trial)
        assert time.monotonic() - started < 5


def test_a_message_fits_into_a_pipe_at_once() -> None:
    running = [f"{number} {'é' * 300}" for number in range(8)]
    text = live_report._message(STANDING, running)
    told = json.loads(text)
    assert len(text) <= LARGEST and told["running"] == running[: len(told["running"])] != []
    assert json.loads(live_report._message("x" * 10_000, [])) == {"standing": "x" * (LARGEST // 8), "running": []}
