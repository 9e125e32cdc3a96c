"""The examples of CONTRIBUTING.md in a copy of the project: a file, a line, and what the tests then ask for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)
DEFINED = re.compile(r"^(?:class|def) (\w+)", re.MULTILINE)
LINE = re.compile(r"The line, (?:in `([\w/]+\.py)`|there): `(.+?,)` in `(\w+)`")
# What the tests ask for after the file and the line.
ASKED = {
    "patience": ["say what patience does at a rung in the table of schedulers in docs/explanation/searching.md"],
    "middle": ["say what middle proposes in the table of samplers in docs/explanation/searching.md"],
    "window": [
        "add a shape with window positions to SHAPES",
        "say here what a score is by the paper of window",
    ],
    "bars": ["add to SAMPLES how bars keeps PAIRS"],
}
TESTS = ("schedulers", "samplers", "positions", "stacked", "counting", "pairs", "kinds")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with all four examples."""
    folder = tmp_path_factory.mktemp("contributed")
    for name in ("model", "trainables", "search", "tests", "configs", "docs", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, code in FILE.findall(TEXT):
        file = folder / name
        if file.exists():  # a class for a file that is there, above its table
            code = file.read_text().replace("\nKINDS:", f"\n{code}\n\nKINDS:", 1)
        file.write_text(code, encoding="utf-8")
    modules = {
        name: module[:-3].replace("/", ".") for module, code in FILE.findall(TEXT) for name in DEFINED.findall(code)
    }
    for place, line, table in LINE.findall(TEXT):
        file = folder / (place or "model/positions/kinds.py")
        text = file.read_text()
        end = re.compile(r"\n    named=|,?\}|\n[})]").search(text, text.index(f"\n{table}"))
        assert end, file
        comma = "" if text[: end.start()].endswith(",") else ","
        text = f"{text[: end.start()]}{comma}\n    {line}{text[end.start() :]}"
        imports = [f"from {modules[name]} import {name}\n" for name in modules if name in line and place]
        file.write_text(text.replace("\n\n", "\n\n" + "".join(imports), 1))
    return folder


def run(copy: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "COLUMNS": "500"}
    done = subprocess.run([sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_each_example_is_a_file_and_a_line_and_the_tests_say_what_is_missing(copy: Path) -> None:
    assert len(FILE.findall(TEXT)) == 5 and len(LINE.findall(TEXT)) == 4
    tests = [f"tests/test_{name}.py" for name in TESTS]
    said = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", *tests, "-k", " or ".join(ASKED))
    failures = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    missing = [text for texts in ASKED.values() for text in texts]
    assert {text for text in missing for line in failures if text in line} == set(missing), said
    assert all(any(text in line for text in missing) for line in failures), said


def test_the_kinds_can_be_named_in_a_configuration_and_the_format_is_read(copy: Path) -> None:
    for option in ("--search.scheduler=patience", "--search.sampler=middle", "--model.positions=window"):
        assert option.partition("=")[2] in run(copy, "search/run.py", option, "--print_config"), option
    (copy / "corpus").mkdir()
    for split in ("train", "valid", "test"):
        lines = (f"one, {n} of {split} ||| un, {n} de {split}\n" for n in range(8))
        (copy / "corpus" / f"{split}.bars").write_text("".join(lines))
    code = (
        "from trainables.base.data_config import DataConfig\n"
        "from trainables.data.corpora.corpus import read_corpus\n"
        "print(read_corpus(DataConfig(path='corpus', doubts='warn')).train.source[0])"
    )
    assert run(copy, "-c", code).startswith("one, 0 of train")
