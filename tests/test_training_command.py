"""`python -m trainables`, as it is typed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from corpora import write_digits
from processes import accept_interrupts

from trainables.__main__ import SingleRun
from trainables.base.translation_config import TranslationConfig
from trainables.data.corpora.scoring import Scoring
from trainables.training.evaluation import score, translate
from trainables.training.trained import load_model

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "trainables"]
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
EPOCH = re.compile(r"^ +(\d+) +(\d+\.\d{4}) +(\d+\.\d{4}) +(\d+\.\d\d)  \d+ \+ \d+$", re.M)
TEST = re.compile(
    r"^test, beam (\d+): BLEU (\d+\.\d\d), chrF\+\+ (\d+\.\d\d), TER (\d+\.\d\d), mean sentence BLEU (\d+\.\d\d)$", re.M
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


def write_config(folder: Path, corpus: Path) -> Path:
    config = {
        "data": {"path": str(corpus)},
        "tokenizer": {"vocab_size": 60},
        "model": {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "num_heads": 2, "ffn_dim": 64},
        "training": {"epochs": 6, "batch_tokens": 256, "learning_rate": 0.005, "warmup_steps": 10},
        "output_dir": str(folder / "runs"),
        "beam_size": 3,
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, cwd=ROOT, env=ENVIRONMENT
    )


def read_scores(config: Path, checkpoints: Path, beam_size: int) -> tuple[str, ...]:
    run = SingleRun.model_validate(yaml.safe_load(config.read_text()))
    trial = TranslationConfig.model_validate({name: getattr(run, name) for name in TranslationConfig.model_fields})
    model, tokenizer = load_model(trial, Path(run.output_dir) / ".cache", checkpoints)
    source, target = ((Path(run.data.path) / f"test.{side}").read_text().splitlines() for side in ("en", "fr"))
    scores = score(translate(model, tokenizer, source, beam_size, run.length_penalty), target, Scoring("13a"))
    return tuple(f"{value:.2f}" for value in (scores.bleu, scores.chrf, scores.ter, scores.sentence_bleu))


def test_it_trains_scores_the_test_split_and_goes_on_where_it_was(tmp_path: Path, corpus: Path) -> None:
    config = write_config(tmp_path, corpus)
    arguments = "--config", str(config), "--name", "one", "--score_test"
    first = start(*arguments)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "runs" / "one"
    assert f"300 training pairs (0 overlong), {folder}\n" in first.stdout
    epochs, tests = EPOCH.findall(first.stdout), TEST.findall(first.stdout)
    assert [line[0] for line in epochs] == ["1", "2", "3", "4", "5", "6"]
    assert float(epochs[0][2]) > float(epochs[-1][2]) > 0, "the validation loss falls"
    assert tests == [("1", *read_scores(config, folder, 1)), ("3", *read_scores(config, folder, 3))]
    assert all(1 < float(value) < 100 for line in tests for value in line[1:])
    assert re.search(r"^[\d,]+ parameters$", first.stdout, re.M)
    assert "|tok:13a|" in first.stdout
    assert (folder / "finalists.json").exists()

    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert len(written) == 2
    again = start(*arguments)
    assert again.returncode == 0, again.stderr
    assert EPOCH.findall(again.stdout) == epochs[-1:], "all is done: the last epoch is told once more"
    assert TEST.findall(again.stdout) == tests
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == written

    other = start(*arguments, "--model.dropout", "0.2")
    assert other.returncode == 2
    assert other.stderr == f"--name: {folder} holds a run with model.dropout 0.1; choose another name\n"

    shutil.rmtree(folder / "epoch-6")
    resumed = start(*arguments)
    assert EPOCH.findall(resumed.stdout) == epochs[-2:]
    assert TEST.findall(resumed.stdout) == tests


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, corpus: Path) -> None:
    arguments = ["--config", str(write_config(tmp_path, corpus)), "--training.epochs", "100000"]
    running = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        preexec_fn=accept_interrupts,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if EPOCH.match(line):
            break
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors == "stopped; the same command continues from the last checkpoint\n"
    (run_dir,) = (tmp_path / "runs").glob("training-*")  # named after the configuration
    assert list(run_dir.glob("epoch-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.epocs", "3"], "--training.epocs: unknown option; did you mean --training.epochs?\n"),
        (["--data.path", "/nowhere"], "data.path: /nowhere does not exist; give "),
    ],
)
def test_a_mistake_ends_with_a_message_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, corpus: Path
) -> None:
    done = start("--config", str(write_config(tmp_path, corpus)), *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_divergence_ends_with_a_message_and_status_1(tmp_path: Path, corpus: Path) -> None:
    done = start("--config", str(write_config(tmp_path, corpus)), "--training.learning_rate", "1e30")
    assert done.returncode == 1
    assert re.fullmatch(r"diverged: the gradient became (nan|inf) in epoch 1, step \d+, at .*\n", done.stderr)
