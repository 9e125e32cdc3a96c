"""constraints.txt holds what pyproject.toml asks for, and nothing but versions."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def asked(name: str = "dev") -> Iterator[Requirement]:
    """All direct requirements, those of an extra and of the extras that it names among them."""
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][name]]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                yield from asked(extra)
        elif requirement.name != "torch":
            yield requirement


def test_each_requirement_is_locked_in_a_version_that_it_allows() -> None:
    locked = {canonicalize_name(Requirement(line).name): Requirement(line).specifier for line in LOCK}
    for requirement in asked():
        (exact,) = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(exact.version), f"{requirement}, but {exact}: run `make lock`"


def test_no_extra_is_missing_from_the_lock() -> None:
    (own,) = [r for r in map(Requirement, PROJECT["optional-dependencies"]["dev"]) if r.name == PROJECT["name"]]
    assert own.extras == PROJECT["optional-dependencies"].keys() - {"dev"}


@pytest.mark.parametrize("line", LOCK)
def test_a_line_of_the_lock_is_a_version_for_all_machines(line: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", line), "no index, no path, no condition"


def test_torch_is_left_out_and_installed_in_one_version_everywhere() -> None:
    assert not [line for line in LOCK if line.startswith(("torch==", "nvidia-c", "triton=="))]
    files = [ROOT / "Makefile", ROOT / "cluster.yaml", *(ROOT / "configs" / "clusters").iterdir()]
    named = {version for file in files for version in re.findall(r"torch==[\d.]+\d(?= |$)", file.read_text(), re.M)}
    assert len(named) == 1
    assert next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "torch").specifier.contains(
        named.pop().partition("==")[2]
    )
