"""Runs at a glance: `list`, `status` and `show`, and the same from Python."""

import json
import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from search import load_run, overviews
from search.commands.resume import resumed_experiment
from search.run import main
from search.run_directory.overview import State, latest_progress, overview
from search.settings.stored import stored_experiment
from trainables.base.config import flatten
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.holder import SILENT_SECONDS
from trainables.base.sealing import read_sealed, write_sealed
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.corpus import digest_test, read_corpus

OLD = Path(__file__).parent / "runs" / "0.1"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run that has ended, one that was stopped, and one that can't be read."""
    for name in ("ended", "stopped", "broken"):
        shutil.copytree(OLD, tmp_path / "runs" / name)
    for file in ("leaderboard.json", "finals.jsonl"):
        (tmp_path / "runs" / "stopped" / file).unlink()
    (tmp_path / "runs" / "broken" / "trials.jsonl").write_text('{"trial": 1}\n')
    (tmp_path / "runs" / "other").mkdir()
    return tmp_path / "runs"


def beat(run_dir: Path, number: int = 7, ended: bool = False) -> Path:
    file = run_dir / "locks" / str(number)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"ended": ended}))
    return file


def test_each_run_of_a_folder_is_listed_with_its_state(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {run.path.name: run for run in overviews(runs)}
    assert {name: run.state for name, run in found.items()} == {
        "ended": State.ENDED,
        "stopped": State.STOPPED,
        "broken": State.UNREADABLE,
    }
    board = json.loads((runs / "ended" / "leaderboard.json").read_text())
    assert found["ended"].best == f"{board['ranking'][0]['test_bleu']:.2f} test BLEU"
    lines = [json.loads(line) for line in (runs / "stopped" / "trials.jsonl").read_text().splitlines()]
    assert found["stopped"].best == f"{max(line['valid_bleu'] for line in lines):.2f} valid BLEU"
    assert found["stopped"].trials == len({line["trial"] for line in lines})
    assert "line 1 is damaged" in found["broken"].message
    assert main(["list", "--output_dir", str(runs)]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in found) and "broken: " in said and "other" not in said
    assert main(["list", "--output_dir", str(runs / "other")]) == 0 and "has no runs" in capsys.readouterr().out


def test_a_run_is_running_while_its_driver_writes(runs: Path) -> None:
    run = runs / "stopped"
    file = beat(run)
    assert overview(run).state == State.RUNNING
    beat(run, 8, ended=True)
    assert overview(run).state == State.STOPPED, "the newest driver has ended"
    (run / "locks" / "8").unlink()
    file.write_text("[" * 200_000)
    assert overview(run).state == State.RUNNING, "what a driver writes at this moment may not be whole"
    old = time.time() - SILENT_SECONDS - 1
    os.utime(file, (old, old))
    assert overview(run).state == State.STOPPED


def test_resume_without_a_name_lists_what_was_stopped(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "--output_dir", str(runs)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "name the run, as in" in said[0] and said[0].endswith("stopped are")
    assert len(said) == 2 and said[1].startswith(f"{runs / 'stopped'}: ") and "valid BLEU" in said[1]
    shutil.rmtree(runs / "stopped")
    assert main(["resume", "--output_dir", str(runs)]) == 2
    assert "none is stopped" in capsys.readouterr().err


def test_fewer_trials_change_nothing_once_a_search_has_ended(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def trials(name: str, number: int) -> int | None:
        arguments = [str(runs / name), "--trust", "--search.trials", str(number)]
        return resumed_experiment(arguments, "resume").experiment.search.trials

    before = stored_experiment(runs / "ended", trust=True).search.trials
    assert trials("ended", 1) == before and "search.trials 1: the search has ended with" in capsys.readouterr().out
    (runs / "stopped" / "finalists.json").unlink()
    assert (trials("ended", 99), trials("stopped", 1)) == (99, 1) and not capsys.readouterr().out


def test_the_report_of_a_search_that_was_stopped(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs / "stopped"
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    assert "was stopped before its ranking" in (run / "report.html").read_text()
    assert main(["report", str(runs / "ended")]) == 2
    assert "holds no report.json, as earlier versions wrote none" in capsys.readouterr().err
    beat(run)
    assert main(["report", str(run)]) == 2 and "the search runs" in capsys.readouterr().err


def test_the_status_of_a_search_has_what_its_driver_last_said(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs / "stopped"
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    (run / "driver.log").write_text(
        "2026-01-01 00:00:00Z INFO    search: 1 of about 9 epochs; 1/4 trials done\n"
        f"{now}Z INFO    search: 2 of about 9 epochs, about 5 min left; 2/4 trials done, 1 running\n"
        f"{now}Z INFO    trial 3 reports epoch 1\n"
    )
    told = latest_progress(run)
    assert told and told[1].startswith("search: 2 of about 9 epochs")
    assert main(["status", str(run)]) == 0
    said = capsys.readouterr().out
    assert "stopped; " in said and "about 5 min left" in said and f"resume {run}` continues it" in said
    assert main(["status", str(runs / "ended")]) == 0
    assert "left" not in capsys.readouterr().out
    assert main(["status", str(runs / "broken")]) == 2


def test_a_trial_is_shown_with_the_configuration_that_trains_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(runs / "ended")
    best = json.loads((runs / "ended" / "leaderboard.json").read_text())["ranking"][0]["trial"]
    assert run.trial().number == best
    with pytest.raises(UserError, match="has no trial 99; its trials are 0 to"):
        run.trial(99)
    trial = run.trial(1)
    assert main(["show", str(runs / "ended"), "--trial", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"trial 1, {trial.outcome}: ") and len(said.splitlines()) == 2 + len(trial.scores)
    assert main(["show", str(runs / "ended"), "--trial", "1", "--yaml"]) == 0
    config = TranslationConfig.model_validate(yaml.safe_load(capsys.readouterr().out))
    assert flatten(config.model_dump()).items() >= trial.params.items() and config == run.config(1)


def test_the_best_models_of_runs_are_compared_on_their_test(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DataConfig.model_validate(yaml.safe_load((OLD / "experiment.yaml").read_text())["data"])
    digest = digest_test(data, read_corpus(data).train)
    for name in ("a", "b"):
        shutil.copytree(OLD, runs / name)
        write_sealed(runs / name / "inputs.json", {"splits": {"test text": digest}})
    file = runs / "b" / "finals" / "0" / "test.json"
    record = read_sealed(file)
    worse = ["no" if place % 3 else line for place, line in enumerate(record["translations"])]
    write_sealed(file, {**record, "translations": worse})
    arguments = ["compare", "a", "b", "--output_dir", str(runs)]
    assert main(arguments) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    first, second = re.findall(r"^ ([ab]) .*? (\d) +\d+ +(\S+) ", said, re.MULTILINE)
    assert (first[:2], second[:2]) == (("a", "1"), ("b", "2"))
    difference = float(first[2]) - float(second[2])
    assert re.search(rf"a and b differ by {difference:.2f} BLEU \(95% interval \d", said) and "one seed" in said
    assert "compare: a, b" in (runs / "a" / "test_opened.jsonl").read_text()
    write_sealed(runs / "b" / "inputs.json", {"splits": {"test text": {**digest, "sha256": "0" * 64}}})
    assert main(arguments) == 2 and "was scored on another test than" in capsys.readouterr().err
    assert main(["compare", "a", "--output_dir", str(runs)]) == 2
    assert main(["compare", "a", "stopped", "--output_dir", str(runs)]) == 2
    assert "has no ranking yet" in capsys.readouterr().err
