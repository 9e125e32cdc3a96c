"""What a command that says something and ends may import."""

import subprocess
import sys
from pathlib import Path

import pytest

from search.commands import COMMANDS

ROOT = Path(__file__).parents[1]
SLOW = {"optuna", "sqlalchemy", "scipy", "torch", "ray", "pandas", "plotly", "sacrebleu", "wandb"}


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--version",
        "configs",
        "--trainning.epochs 3",
        "--training.epochs three",
        "--config nowhere.yaml",
        "--data.path /nowhere",
        "serch",
        "resume",
        "resume /nowhere",
        *(f"{command} --help" for command in COMMANDS),
    ],
)
def test_what_says_something_and_ends_imports_nothing_that_takes_seconds(arguments: str, tmp_path: Path) -> None:
    program = f"import sys; from search.run import main; main({arguments.split()}); print('modules', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    imported = done.stdout.rpartition("modules ")[2].split()
    assert "search.run" in imported, done.stderr
    assert not SLOW & {*imported}


@pytest.mark.parametrize("arguments", ["--help", "--trainning.epochs 3", "--data.path /nowhere", "--config nowhere"])
def test_so_does_the_training_of_one_model(arguments: str, tmp_path: Path) -> None:
    program = f"""
import atexit, sys
atexit.register(lambda: print("modules", *sys.modules))
sys.argv = ["trainables", *{arguments.split()}]
import runpy
runpy.run_module("trainables", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    imported = done.stdout.rpartition("modules ")[2].split()
    assert "trainables.base.command_line" in imported, done.stderr
    assert not SLOW & {*imported}
