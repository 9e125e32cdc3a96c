"""What the program runs as and on: its name on the command line, its version, its files, the processor."""

import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import named_path


def program(verb: str = "") -> str:
    """How this program is called, for messages: as it was called, or by its command."""
    name = "python search/run.py" if Path(sys.argv[0]).name == "run.py" else "babeltune"
    return f"{name} {verb}".strip()


def version_of(package: str) -> str | None:
    """None for one that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# A training must have the same of these on all machines.
SAME_VERSION = ("ray", "torch")


def own_versions() -> dict[str, str | None]:
    """What this machine has of what must be the same on all: Python and packages."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in SAME_VERSION}}


def find_other_versions(here: dict[str, str | None], there: dict[str, str | None]) -> list[str]:
    """How another machine differs from this one; messages for people."""
    faults = []
    for name in ("python", *SAME_VERSION):
        if there[name] is None:
            faults.append(f"{name} is not installed; install {name}=={here[name]} there")
        elif here[name] != there[name]:
            faults.append(
                f"{name} {there[name]}, but {here[name]} where the search was started; install the same on all nodes"
            )
    return faults


def processor() -> str:
    """The name of this machine's."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def config_folder() -> Path:
    """Where the configurations and cluster files lie; in a checkout a link to configs/."""
    return Path(__file__).parents[2] / "search" / "configs"


def list_configs() -> list[str]:
    """Names that `--config` takes."""
    return sorted(path.stem for path in config_folder().glob("*.yaml") if path.stem != "wandb-sweep")


def find_config(name: str) -> Path:
    """A file, or a configuration that comes with the program, by its name without .yaml. Raises UserError."""
    path = named_path("--config", name)
    if path.exists() or path.suffix or "/" in name:
        return path  # who reads it says what is wrong with it
    named = config_folder() / f"{name}.yaml"
    if name not in list_configs():
        raise UserError(f"--config: {name}: no such file or configuration{did_you_mean(name, list_configs())}")
    return named
