"""What an installation brings: the command, its configurations, their schema, completion, and what extras are named."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import shtab
import yaml
from test_run import run

from search.commands import COMMANDS
from search.commands.completion import whole_parser
from search.run import main
from trainables.base.installed import config_folder, find_config, list_configs

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "configs" / "schema.json").read_text())


def test_the_command_is_the_program(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("babeltune")
    for name in ("model", "search", "trainables"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('of the user')\n")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and re.match(
        rf"babeltune {re.escape(version('babeltune'))} \(Python 3\.\d+", done.stdout
    )
    done = subprocess.run([command, "resume"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "resume: name the run, as in `babeltune resume runs/NAME`\n")
    done = run("resume", "--output_dir", str(tmp_path))
    assert done.stderr == "resume: name the run, as in `python search/run.py resume runs/NAME`\n"


def test_version_licence_and_citation_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"] == version("babeltune")
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text() and "Apache" in (ROOT / "README.md").read_text()
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()
    for package in ("model", "search", "trainables"):
        assert (ROOT / package / "py.typed").exists()


def test_a_configuration_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"quickstart", "multi30k"} < set(list_configs()) and find_config("quickstart").samefile(
        ROOT / "configs" / "quickstart.yaml"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("name: mine\n")
    assert find_config("quickstart") == tmp_path / "quickstart", "a file of the user's goes first"
    done = run("--config", "multi30kk")
    assert done.returncode == 2
    assert done.stderr.startswith("--config: multi30kk: no such file or configuration; did you mean multi30k?")
    assert (config_folder() / "clusters" / "aws.yaml").samefile(ROOT / "cluster.yaml")


def test_each_configuration_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list_configs()
    assert all(len(line.split()) >= 3 for line in lines)


# -- the schema


def test_the_schema_is_the_one_of_this_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA, "run `babeltune schema > configs/schema.json`"


OF_TRANSLATION = [name for name in list_configs() if "\nproblem:" not in find_config(name).read_text()]


@pytest.mark.parametrize("name", OF_TRANSLATION)
def test_each_configuration_names_the_schema_and_holds_to_it(name: str) -> None:
    text = (ROOT / "configs" / f"{name}.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    tree = yaml.safe_load(text)
    jsonschema.validate(tree, SCHEMA)
    section = next(key for key, value in tree.items() if isinstance(value, dict) and key != "space")
    with pytest.raises(jsonschema.ValidationError, match="typo"):
        jsonschema.validate({**tree, section: {**tree[section], "typo": 1}}, SCHEMA)


# -- completion

TRIES = [
    (["re"], {"resume", "replay", "report"}),
    (["--search.sampler", "cm"], {"cmaes"}),
    (["resume", "x", "--search.tri"], {"--search.trials"}),
    (["translate", "--be"], {"--beam_size"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
]


@pytest.fixture(scope="module")
def bash_script() -> str:
    return shtab.complete(whole_parser(), shell="bash")


@pytest.mark.parametrize(("words", "found"), TRIES)
def test_bash_completes_commands_options_and_values(words: list[str], found: set[str], bash_script: str) -> None:
    line = ["babeltune", *words]
    quoted = " ".join(f"'{word}'" for word in line)
    script = f"""{bash_script}
        COMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; COMP_LINE='{" ".join(line)}'; COMP_POINT=${{#COMP_LINE}}
        _shtab_babeltune babeltune '{line[-1]}' '{line[-2]}'; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert set(done.stdout.split()) == found, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_all_commands(shell: str) -> None:
    script = shtab.complete(whole_parser(), shell=shell)
    assert all(name in script for name in COMMANDS) and "version" in script and "search.trials" in script


# -- extras


def test_a_missing_extra_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ("cmaes", "shtab")
    monkeypatch.setattr("trainables.base.extras.find_spec", lambda name: None if name in missing else find_spec(name))
    monkeypatch.chdir(tmp_path)
    assert main(["--search.sampler", "cmaes"]) == 2
    assert "search.sampler: cmaes: needs cmaes, which is not installed: pip install 'babeltune[cmaes]'" in _one_line(
        capsys.readouterr().err
    )
    assert main(["completion", "bash"]) == 2
    assert "completion: needs shtab, which is not installed: pip install 'babeltune[completion]'" in _one_line(
        capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def _one_line(text: str) -> str:
    return " ".join(text.split())
