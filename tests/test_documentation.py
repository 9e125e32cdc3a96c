"""What README and docs name is there: files, sections, commands."""

import re
from pathlib import Path

import pytest

from search.commands import COMMANDS
from search.run import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEW = {"search/schedulers/patience.py", "search/samplers/middle.py", "model/positions/window.py"}  # of the examples


def sections(page: Path) -> set[str]:
    """The names by which a link reaches the sections of a page."""
    text = page.read_text(encoding="utf-8")
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
        assert name in NEW or (ROOT / name).exists() or name.endswith("formats/csv.py"), name


def test_design_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "docs" / "design.md").read_text(encoding="utf-8").split()) < 2500


def test_design_names_every_folder_and_the_modules_of_a_trial() -> None:
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    tables = {"model/positions", "trainables/data/formats"}  # a file a kind
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
