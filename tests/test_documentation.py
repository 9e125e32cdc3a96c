"""What README and docs name is there: files, sections, commands, keys; the reference and the site have all there is."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reference
import yaml
from pydantic import BaseModel

from search.commands import COMMANDS, load
from search.run import main
from search.settings.experiment import Experiment
from trainables.base.command_line import make_parser
from trainables.base.kinds import find_kinds

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEW = {  # of the examples
    "search/schedulers/patience.py",
    "search/samplers/middle.py",
    "model/positions/window.py",
    "trainables/data/reading/formats/bars.py",
}


@cache
def sections(page: Path) -> set[str]:
    """The names by which a link reaches the sections of a page."""
    text = reference.expand(page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles} | set(
        re.findall(r'<a name="(\w+)">', text)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            file, _, section = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert not section or section in sections(target), link
    for name in re.findall(r"`((?:search|trainables|model|tests|tools|bench|configs|docs)/[\w/.-]+)`", text):
        assert name in NEW or (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: str(page.relative_to(ROOT)))
def test_lists_are_lists_to_every_reader_of_markdown(page: Path) -> None:
    """Python-Markdown, which makes the site, wants four spaces where GitHub is content with less."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^ {1,3}(?:[-*]|\d+\.) .*$|(?<=\n\n) {1,3}\S.*$|(?<=\n\n) {5,7}\S.*$", text, re.MULTILINE)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_configurations_are_valid_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        Experiment.model_validate(yaml.safe_load(block))
    options = {*re.findall(r"(?<![\w-])--((?:data|tokenizer|model|training|search|finals|tracking)\.[\w.]+\w)", text)}
    mistakes = {"search.trails"}  # of the tutorial
    assert options <= reference.find_keys(reference.EXPERIMENT).keys() | mistakes


def test_the_reference_has_every_key_and_what_help_says_of_it() -> None:
    page = reference.keys()
    sections = dict(re.findall(r"^### (\S+)\n\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert named_options(reference.EXPERIMENT) == sections.keys()
    for path, text in sections.items():
        described, value, default = re.fullmatch(
            r"(.+)\n\n\*\*Value:\*\* (.+)  \n\*\*Default:\*\* (.+?)(?:\n\n.*)?\s*", text, re.DOTALL
        ).groups()  # type: ignore[union-attr]
        assert described.endswith(".") and value and default, path
    assert "`3`" in sections["finals.top"] and "from 1" in sections["finals.top"]
    assert all(f"- `{kind}`: " in sections["search.sampler"] for kind in ("default", "grid", "tpe", "module:Name"))


def named_options(config_class: type[BaseModel]) -> set[str]:
    """The keys that options of the command line set; of a field for one of many kinds the field and the settings."""
    kinds = find_kinds(config_class)
    actions = make_parser(config_class, "babeltune", "")._actions
    words = {option for action in actions for option in re.findall("^--(.*)", "".join(action.option_strings[:1]))}
    names = {word.removesuffix(".kind") if word.removesuffix(".kind") in kinds else word for word in words}
    groups = {name for name in names if any(other.startswith(f"{name}.") for other in names)} - kinds.keys()
    return names - groups - {"config", "print_config", "help"}


def test_the_reference_has_every_command_and_its_options() -> None:
    page = reference.commands()
    for command in COMMANDS:
        assert re.search(rf"^\| `babeltune {command}\b", page, re.MULTILINE), command
        section = page.partition(f"## {command}\n")[2].partition("\n## ")[0]
        listed = {*re.findall(r"^\| `--(\S+)`", section, re.MULTILINE)}
        own = named_options(load(COMMANDS[command].options)) - named_options(reference.EXPERIMENT)
        assert listed == own, command


def test_the_site_has_every_page_in_its_navigation() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(leaves(site["nav"])) == sorted(pages | {*reference.OUTSIDE.values()})


def leaves(nav: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(part)


def test_design_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "docs" / "design.md").read_text(encoding="utf-8").split()) < 2500


def test_design_names_every_folder_and_the_modules_of_a_trial() -> None:
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    tables = {"model/positions", "trainables/data/reading/formats"}  # a file a kind
    for package in ("model", "trainables", "search"):
        for file in (ROOT / package).rglob("*.py"):
            folder = file.parent.relative_to(ROOT)
            whole = package == "search" or str(folder) in tables or file.stem in ("__init__", "__main__")
            name = f"{folder.name}/" if whole else file.name
            assert folder.parts[-1] == package or f"`{name}`" in design or f"/{name}`" in design, file
            assert whole or f"`{file.name}`" in design or f"/{file.name}`" in design, file


def test_help_begins_with_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("commands")[2].partition("options:")[0]
    for command in COMMANDS:
        assert re.search(rf"^  {command}\b", listed, re.MULTILINE), command
        assert re.search(rf"^\| .*`{command}\b", README, re.MULTILINE), command
