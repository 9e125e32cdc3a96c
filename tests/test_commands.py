"""The commands of README and docs run as they stand, without training; example sentences are of the phrasebook."""

import io
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import trainables.__main__
from search.commands.resume import resumed_experiment
from search.driver.search_run import SearchRun
from search.planning import planned
from search.planning.speeds import Measured
from search.run import main
from search.run_directory.finding import find_run
from search.settings.experiment import Experiment
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora.corpus import read_corpus, read_test

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "runs" / "0.1"
SPACE = {"training.warmup_steps": {"values": [100, 200]}}  # which every kind can search
STARTS_NOTHING = (
    "doctor",
    "plan",
    "import",
    "replay",
    "translate",
    "clean",
    "list",
    "status",
    "show",
    "report",
    "compare",
    "--print_config",
    "--help",
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("python search/run.py", "babeltune", "python -m trainables")
# What can't run in a test, and why.
ELSEWHERE = {
    "--cluster auto": "a cluster: make test-cluster",
    "s3://": "a bucket: tests/test_storage.py",
    " publish ": "an account: tests/test_tracking.py",
    "replay --tables DIR": "tables of others: tests/test_replay.py",
    "--json OUT": "tables of others: tests/test_replay.py",
    "command check": "another trainer: tests/test_trainers.py",
    "--config examples/": "a problem of one's own: tests/test_problems.py",
    "--KEY VALUE": "no command as it stands",
}


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(page: Path) -> list[str]:
    """What stands indented, without comments; lines that go on, behind a backslash or within quotes, are joined."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for line in re.findall(r"^    ( *\S.*)$", re.sub(r" \\\n +", " ", text), re.MULTILINE):
        if found and found[-1].count("'") % 2:
            found[-1] += f" {line.strip()}"
        else:
            found.append(re.sub(r"\s{2,}#.*", "", line))
    return [line for line in found if line.rpartition(" | ")[2].startswith(PROGRAMS)]


CALLS = [pytest.param(page.name, line, id=f"{page.stem}-{line[:60]}") for page in PAGES for line in commands(page)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the README, whose DIR has the usual names, and one for other pages, whose DIR is Multi30k."""
    folder = tmp_path_factory.mktemp("place")
    config = DataConfig()
    corpus = read_corpus(config)
    shutil.copytree(OLD, folder / "run")
    test = read_test(config, folder / "run", "a test")
    for page, names in (("README.md", ("valid", "test")), ("others", ("val", "test_2016_flickr"))):
        (folder / page / "DIR").mkdir(parents=True)
        (folder / page / "configs").symlink_to(ROOT / "configs")
        for name, split in zip(("train", *names), (corpus.train, corpus.valid, test), strict=True):
            for language, side in zip(("en", "fr"), split.sides, strict=True):
                (folder / page / "DIR" / f"{name}.{language}").write_text("".join(f"{line}\n" for line in side))
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The searches, or trials, that would have begun to train; training and probes are left out."""
    begun: list[Any] = []
    monkeypatch.setattr(SearchRun, "run", lambda run: begun.append(run.experiment))
    monkeypatch.setattr("trainables.single_run.train", lambda config, *given, **named: map(begun.append, [config]))
    measured = [Measured(1e8 * (1 + number), 1.0, 0.1, 0.1, 5, 0, 5, 0.0) for number in range(3)]
    monkeypatch.setattr(planned, "probe", lambda models, configs, *rest: measured[: len(configs)])
    return begun


@pytest.mark.parametrize(("page", "line"), CALLS)
def test_a_command_runs_as_it_stands(
    page: str,
    line: str,
    place: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if any(part in line for part in ELSEWHERE):
        return
    here = place / (page if page == "README.md" else "others")
    monkeypatch.chdir(here)
    for name in ("NAME", "OTHER", "table"):
        shutil.rmtree(here / "runs" / name, ignore_errors=True)
        if f"--name {name}" not in line:
            shutil.copytree(OLD, here / "runs" / name)
    said, _, line = line.rpartition(" | ")
    if said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(shlex.split(said)[1].encode())))
    program = next(name for name in PROGRAMS if line.startswith(name))
    words = shlex.split(line.removeprefix(program))
    if program == "python -m trainables":
        with pytest.raises(TypeError):  # as that trains no model
            trainables.__main__.main(words)
        assert started
        return
    assert main(words) == 0, capsys.readouterr().err
    assert bool(started) is not any(word in words for word in STARTS_NOTHING), "a search starts, nothing else does"


def test_what_the_table_says_to_write_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    table = read(ROOT / "README.md").partition("| you want | write |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| [^|]+ \| (.*`.*) \|$", table, re.MULTILINE)
    assert len(cells) > 20
    for code in (code for cell in cells for code in re.findall(r"`([^`]+)`", cell) if "my_module" not in code):
        if re.match(r"--[a-z]", code) and "--help" not in code and "…" not in code:
            assert main([*shlex.split(code), "--print_config"]) == 0, (code, capsys.readouterr().err)
        elif code.startswith("search: {"):
            space = {**SPACE, **({"model.d_model": {"values": [256, 512]}} if "model.d_model" in code else {})}
            Experiment.model_validate({"space": space, **yaml.safe_load("{" + code + "}")})


def test_every_target_of_make_exists() -> None:
    named = {name for text in map(read, PAGES) for name in re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)}
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named and named <= targets, named - targets


def test_every_extra_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    for page in PAGES:
        for names in re.findall(r"babeltune\[([\w,-]+)\]", read(page)):
            assert {*names.split(",")} <= extras, (page, names)


def test_example_sentences_have_words_of_the_phrasebook_alone() -> None:
    """What is translated with the model of the quickstart."""
    train = read_corpus(DataConfig()).train
    known = {word for sentence in train.source for word in re.findall(r"\w+", sentence.lower())}
    sentences = []
    for page in (ROOT / "README.md", ROOT / "docs" / "python.md"):
        text = read(page)
        sentences += re.findall(r'echo "([^"]+)" \| ', text) + re.findall(r'translate\(\["([^"]+)"', text)
    assert len(sentences) >= 2
    for sentence in sentences:
        assert {*re.findall(r"\w+", sentence.lower())} <= known, sentence


@pytest.mark.parametrize("named", [["--output_dir", "elsewhere"], ["--config", "mine.yaml"]])
def test_a_run_is_found_by_its_name_in_the_folder_that_is_named(
    named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD, tmp_path / "elsewhere" / "mine")
    Path("mine.yaml").write_text("output_dir: elsewhere\n")
    with pytest.raises(UserError, match=r"/mine: not the directory of a run.*by --output_dir"):
        resumed_experiment(["mine", "--trust"], "resume")
    with pytest.raises(UserError, match=r"/min: not the directory of a run.*did you mean .*elsewhere/mine"):
        resumed_experiment(["min", "--trust", *named], "resume")
    if "--config" in named:  # the command of the search, with another first word
        with pytest.raises(UserError, match=r"elsewhere/mine/experiment.yaml; change single keys"):
            resumed_experiment(["mine", "--trust", *named], "resume")
        return
    run = resumed_experiment(["mine", "--trust", "--search.trials", "9", *named], "resume")
    assert run.experiment.run_dir == tmp_path / "elsewhere" / "mine" and run.experiment.search.trials == 9
    assert find_run("translate", "mine", "best", "elsewhere") == tmp_path / "elsewhere" / "mine"
