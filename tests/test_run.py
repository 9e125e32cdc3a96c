"""The documented commands, end to end, on a tiny corpus with a real Ray."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import sacrebleu
import safetensors.torch
import sentencepiece
import yaml
from corpora import write_digits
from processes import accept_interrupts

from search.record.journal import read_lines
from search.record.study import Study
from search.run import main
from trainables.base.sealing import read_sealed

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "search" / "run.py")]
WAYS = [(1, 1.0), (2, 0.5), (2, 1.0)]  # to decode: of a beam of one, no penalty changes anything
SPACE = {
    "model.d_model": {"values": [16, 32]},
    "model.dropout": {"values": [0.0, 0.1]},
    "training.learning_rate": {"min": 0.003, "max": 0.03, "distribution": "log_uniform_values"},
}


def write_config(folder: Path, **changes: Any) -> Path:
    config = {
        "output_dir": str(folder / "runs"),
        "data": {"path": str(write_digits(folder / "corpus", train=600))},
        "tokenizer": {"vocab_size": 60},
        "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
        "training": {"epochs": 4, "batch_tokens": 128, "warmup_steps": 20},
        "space": SPACE,
        "search": {"trials": 5, "concurrency": 2},
        "finals": {"top": 2, "seeds": 2, "beam_size": 2},
        "tracking": {"wandb": "disabled"},
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(config | changes))
    return file


def run(
    *arguments: str, cwd: Path = ROOT, within: Sequence[str] = (), stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100"}
    command = [*within, *COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd, env=environment, input=stdin)


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported torch and Ray before."""
    status = main(list(arguments))
    said = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, status, said.out, said.err)


def assert_sound(run_dir: Path, trials: int, epochs: int = 4) -> None:
    """The asked number of trials, none twice, none RUNNING, no epoch missing or repeated."""
    study = Study(run_dir / "study.db", "search", "maximize")
    assert len(study.trials) == trials
    assert all(trial.outcome in ("completed", "stopped", "diverged") for trial in study.trials.values())
    assert not any(trial.running for trial in study.trials.values())
    assert len({repr(sorted(trial.params.items())) for trial in study.trials.values()}) == trials
    lines = [json.loads(line) for line in (run_dir / "trials.jsonl").read_text().splitlines()]
    reported = Counter((line["trial"], line["epoch"]) for line in lines)
    assert set(reported.values()) == {1}
    assert set(reported) == {(t.number, epoch) for t in study.trials.values() for epoch in t.scores}
    assert all(list(t.scores) == list(range(1, t.progress + 1)) for t in study.trials.values())
    assert any(t.progress == epochs for t in study.trials.values())


def assert_numbers(run_dir: Path, board: dict[str, Any], references: list[str]) -> None:
    """The leaderboard says what follows from journals, study and what the models of two seeds each wrote."""
    reports = [line.report for line in read_lines(run_dir / "trials.jsonl")]
    retrained = read_lines(run_dir / "finals.jsonl")
    study = Study(run_dir / "study.db", "search", "maximize", "read")
    assert study.idle_seconds >= 0
    assert board["search"] == {
        "trials": 5,
        "epochs_trained": len(reports),
        "epochs_full": 20,
        "gpu_seconds": pytest.approx(sum((r.train_seconds + r.eval_seconds) * r.devices for r in reports)),
        "wall_seconds": study.wall_seconds,
        "idle_seconds": study.idle_seconds,
    }
    greedy: dict[int, float] = {}  # BLEU on valid, by final trial
    for place, entry in enumerate(board["ranking"]):
        results = [read_sealed(run_dir / "finals" / str(n) / "test.json") for n in entry["final_trials"]]
        texts = [result["translations"] for result in results]
        bleus = [sacrebleu.corpus_bleu(text, [references]).score for text in texts]
        valid = [read_sealed(run_dir / "finals" / str(n) / "valid.json")["bleu"] for n in entry["final_trials"]]
        ways = {way: fmean(b for one in valid for *known, b in one if tuple(known) == way) for way in WAYS}
        runs = [[line.report for line in retrained if line.trial == n] for n in entry["final_trials"]]
        greedy |= {n: b for n, one in zip(entry["final_trials"], valid, strict=True) for s, p, b in one if s == p == 1}
        assert [result["seed"] for result in results] == [2, 3]
        assert (entry["rank"], entry["seeds"]) == (place + 1, [2, 3])
        assert entry["test_bleu"] == pytest.approx(fmean(bleus)) and entry["test_bleu_std"] == pytest.approx(
            stdev(bleus)
        )
        assert entry["test_ter"] == pytest.approx(fmean(sacrebleu.corpus_ter(t, [references]).score for t in texts))
        assert entry["test_neural"] == pytest.approx(fmean(len(line) for text in texts for line in text))
        assert entry["valid_bleu"] == pytest.approx(fmean(greedy[n] for n in entry["final_trials"]))
        assert entry["valid_nll_per_char"] == pytest.approx(fmean(run[-1].score("valid_nll_per_char") for run in runs))
        assert entry["train_seconds"] == pytest.approx(fmean(sum(r.train_seconds for r in run) for run in runs))
        assert ways[entry["beam_size"], entry["length_penalty"]] == max(ways.values())
        low, high = entry["test_bleu_ci"]
        assert 0 <= low <= entry["test_bleu"] <= high <= 100
        assert 1 < entry["test_ppl_per_char"] < 3
    first, second = board["ranking"]
    sizes = first["num_parameters"], second["num_parameters"]
    assert first["test_bleu"] > second["test_bleu"]
    assert (first["pareto"], second["pareto"]) == (True, sizes[1] < sizes[0])
    assert (sizes[0] > sizes[1]) == (first["config"]["model.d_model"] > second["config"]["model.d_model"])
    chosen = max(first["final_trials"], key=greedy.__getitem__)
    best = read_sealed(run_dir / "finals" / str(chosen) / "test.json")
    assert yaml.safe_load((run_dir / "best" / "config.yaml").read_text())["seed"] == best["seed"]
    assert (run_dir / "best" / "translations.txt").read_text().splitlines() == best["translations"]


def test_a_whole_search_leaves_a_ranking_the_best_model_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finals = {"top": 2, "seeds": 2, "beam_size": [1, 2], "length_penalty": [0.5, 1], "average_checkpoints": 2}
    config = write_config(tmp_path, finals={**finals, "neural_metric": "lengths:compare"})
    (tmp_path / "lengths.py").write_text("def compare(source, found, wanted):\n    return [len(t) for t in found]\n")
    run_dir = tmp_path / "runs" / "whole"

    # What is wrong with the test split is told at the start, though nobody sees its text before the finals.
    test_files = [tmp_path / "corpus" / f"test.{language}" for language in ("en", "fr")]
    good = [path.read_bytes() for path in test_files]
    for path in test_files:
        path.write_bytes(b"\xff garbage\n")
    spoilt = run("--config", str(config), "--name", "whole", cwd=tmp_path)
    assert spoilt.returncode == 2
    assert "test.en: line 1 is not UTF-8" in spoilt.stderr and "Traceback" not in spoilt.stderr
    assert not run_dir.exists()

    for path, content in zip(test_files, good, strict=True):
        path.write_bytes(content)
    done = run("--config", str(config), "--name", "whole", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_sound(run_dir, trials=5)
    frozen_at = json.loads((run_dir / "finalists.json").read_text())["frozen_at"]
    openings = [json.loads(line) for line in (run_dir / "test_opened.jsonl").read_text().splitlines()]
    assert {line["frozen_at"] for line in openings} == {frozen_at}
    assert all(line["opened_at"] >= frozen_at and line["pid"] > 0 and line["host"] for line in openings)
    assert [line["why"] for line in openings] == [
        "checking it before the retraining, and scoring after it",
        "ranking, and what the report shows of it",
    ]
    assert "Ranking by test BLEU" in done.stdout
    assert str(run_dir / "report.html") in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

    board = json.loads((run_dir / "leaderboard.json").read_text())
    assert board["experiment"] == "whole"
    assert board["corpus"]["test_pairs"] == 40
    assert "version:" in board["signatures"]["bleu"] and "version:" in board["signatures"]["chrf"]
    assert_numbers(run_dir, board, (tmp_path / "corpus" / "test.fr").read_text().splitlines())
    first, second = board["ranking"]
    assert first["test_bleu"] > 20, "a tiny model translates digits"
    assert set(first["config"]) == set(second["config"]) == set(SPACE)
    assert set(board["signatures"]) == {"bleu", "chrf", "ter", "neural"}
    (pair,) = board["comparisons"]
    assert (pair["a"], pair["b"]) == (first["trial"], second["trial"])
    assert pair["difference"] == pytest.approx(first["test_bleu"] - second["test_bleu"])
    assert pair["ci"][0] < pair["difference"] < pair["ci"][1]
    assert all(0 < pair[key] <= 1 for key in ("p_bootstrap", "p_randomisation", "p_nested", "p_holm"))
    assert [first["group"], second["group"]] == [1, 2 if pair["p_holm"] < 0.05 else 1]
    with (run_dir / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [first["trial"], second["trial"]]
    with (run_dir / "trials.csv").open(newline="") as file:
        told = {int(row["trial"]): row for row in csv.DictReader(file)}
    last = {line.trial: line.report for line in read_lines(run_dir / "trials.jsonl")}
    assert told.keys() == last.keys() == set(range(5))
    assert all(float(told[trial]["valid_bleu"]) == report.score("valid_bleu") for trial, report in last.items())

    frozen = json.loads((run_dir / "finalists.json").read_text())
    assert {entry["trial"] for entry in frozen["finalists"]} == {first["trial"], second["trial"]}
    assert all(len(list((run_dir / "finals" / str(n)).glob("epoch-*"))) == 2 for n in range(4))
    best = run_dir / "best"
    assert len((best / "translations.txt").read_text().splitlines()) == 40
    assert yaml.safe_load((best / "config.yaml").read_text())["model"]["d_model"] == first["config"]["model.d_model"]
    weights = safetensors.torch.load_file(best / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == first["num_parameters"]
    assert 'id="attention-3-cross"' in (run_dir / "report.html").read_text(encoding="utf-8")
    assert sentencepiece.SentencePieceProcessor(model_file=str(best / "tokenizer.model")).get_piece_size() == 60

    again = run_here(capsys, "--config", str(config), "--name", "whole")
    assert again.returncode == 2 and "resume" in again.stderr


@pytest.mark.rare  # test_tracking.py has the same with W&B
def test_a_driver_killed_in_the_middle_is_resumed_to_the_end(tmp_path: Path) -> None:
    search = {"trials": 5, "concurrency": 2, "scheduler": "asha_promotion"}
    config = write_config(tmp_path, search=search)
    driver = subprocess.Popen(
        [*COMMAND, "--config", str(config), "--name", "killed"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run_dir = tmp_path / "runs" / "killed"
    journal = run_dir / "trials.jsonl"
    deadline = time.monotonic() + 200
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = journal.read_text().splitlines()
    resumed = run("resume", str(run_dir))
    assert resumed.returncode == 0, resumed.stderr
    assert_sound(run_dir, trials=5)
    assert journal.read_text().splitlines()[: len(before)] == before
    assert (run_dir / "leaderboard.json").exists()


@pytest.mark.parametrize(
    "number",
    # The others are taken as it is: test_ending.py.
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.rare),
        pytest.param(signal.SIGHUP, marks=pytest.mark.rare),
    ],
)
def test_a_signal_to_end_says_how_to_go_on(number: int, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    driver = subprocess.Popen(
        [*COMMAND, "--config", str(config), "--name", "stopped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=accept_interrupts,
    )
    journal = tmp_path / "runs" / "stopped" / "trials.jsonl"
    deadline = time.monotonic() + 200
    while not (journal.exists() and journal.stat().st_size):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(number)
    shown, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert f"resume {tmp_path / 'runs' / 'stopped'}" in shown
    assert "Traceback" not in shown + errors


@pytest.mark.rare  # five searches; test_budget.py, test_extension.py and test_earlier_finals.py have the parts
def test_a_budget_ends_a_search_that_is_then_extended_and_changed(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        training={"epochs": 2, "batch_tokens": 128, "warmup_steps": 20},
        search={"trials": None, "concurrency": 2, "budget": {"epochs": 9}},
        finals={"top": 2, "seeds": 1, "beam_size": 1},
    )
    run_dir = tmp_path / "runs" / "budget"
    earlier = run_dir / "earlier"

    def spent(limit: int) -> int:
        """Epochs in all journals; those of trials that were taken over stand in two."""
        journals = [*run_dir.glob("*als.jsonl"), *earlier.glob("*/finals.jsonl"), *earlier.glob("*/trials.jsonl")]
        taken = [json.loads(file.read_text()) for file in earlier.glob("*/taken.json")]
        old = (earlier / "2" / "trials.jsonl").read_text().splitlines() if taken else []
        twice = sum(str(json.loads(line)["trial"]) in taken[0] for line in old)
        epochs = sum(len(file.read_text().splitlines()) for file in journals) - twice
        assert f"{epochs} of {limit} epochs" in (run_dir / "report.html").read_text()
        return epochs

    first = run("--config", str(config), "--name", "budget")
    assert first.returncode == 0, first.stderr
    assert "search.budget.epochs 9 is used up" in first.stdout
    assert spent(9) <= 9
    trials = (run_dir / "trials.jsonl").read_text()
    board = (run_dir / "leaderboard.json").read_text()

    refused = run("resume", str(run_dir), "--training.epochs", "3")
    assert refused.returncode == 2 and "training.epochs decides what is compared" in refused.stderr
    assert (run_dir / "leaderboard.json").read_text() == board

    extended = run("resume", str(run_dir), "--search.budget.epochs", "18")
    assert extended.returncode == 0, extended.stderr
    assert spent(18) <= 18
    assert (run_dir / "trials.jsonl").read_text().startswith(trials)
    assert len((run_dir / "trials.jsonl").read_text()) > len(trials)
    assert (earlier / "1" / "leaderboard.json").read_text() == board
    assert (earlier / "1" / "best" / "model.safetensors").exists()
    opened = json.loads((earlier / "1" / "finalists.json").read_text())["frozen_at"]
    assert json.loads((run_dir / "finalists.json").read_text())["test_opened_before"] == [opened]
    assert "opened once before" in (run_dir / "report.html").read_text()

    space = json.dumps({**SPACE, "model.d_model": {"values": [16, 64]}})
    changed = run("resume", str(run_dir), "--search.budget.epochs", "27", "--space", space)
    assert changed.returncode == 0, changed.stderr
    assert "trials fit the changed space and base" in changed.stdout
    assert spent(27) <= 27
    old = Study(earlier / "2" / "study.db", "search", "maximize").trials.values()
    new = Study(run_dir / "study.db", "search", "maximize").trials.values()
    kept = [trial.params for trial in old if trial.params["model.d_model"] == 16]
    assert [trial.params for trial in new][: len(kept)] == kept and len(new) > len(kept)
    assert_sound(run_dir, trials=len(new), epochs=2)
    before = json.loads((run_dir / "finalists.json").read_text())["test_opened_before"]
    openings = [json.loads(line) for line in (run_dir / "test_opened.jsonl").read_text().splitlines()]
    frozen = list(dict.fromkeys(line["frozen_at"] for line in openings))
    assert len(before) == 2 and frozen[:2] == before and len(frozen) == 3, "each ranking that looked at test"
    assert "opened 2 times before" in (run_dir / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.epocs", "3"], "did you mean --training.epochs?"),
        (["--data.path", "/nowhere"], "data.path: /nowhere does not exist"),
        (["--tokenizer.vocab_size", "5000"], "tokenizer.vocab_size: 5000"),
        (["resume", "/nowhere"], "not the directory of a run"),
    ],
)
def test_a_mistake_ends_with_one_message_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = [] if arguments[0] == "resume" else ["--config", str(write_config(tmp_path))]
    started = time.monotonic()
    done = run_here(capsys, *arguments, *config)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert time.monotonic() - started < 60
