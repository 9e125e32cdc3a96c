"""The installation: the program's name on the command line, versions, its files, the processor."""

import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import named_path


def program(verb: str = "") -> str:
    """The command line that calls this program, for messages."""
    name = "python search/run.py" if Path(sys.argv[0]).name == "run.py" else "babeltune"
    return f"{name} {verb}".strip()


def version_of(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# Packages that must have the same version on all machines of a search.
SAME_VERSION = ("ray", "torch")


def own_versions() -> dict[str, str | None]:
    """The versions of Python and of packages that must be the same on all machines."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in SAME_VERSION}}


def find_other_versions(here: dict[str, str | None], there: dict[str, str | None]) -> list[str]:
    """The differences between another machine's versions and this one's, as messages."""
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
    """The name of this machine's processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def config_folder() -> Path:
    """The folder of configurations and cluster files; in a checkout a link to configs/."""
    return Path(__file__).parents[2] / "search" / "configs"


def default_config(problem: str) -> Path:
    """The configuration of a search that names none; no file for a problem of which the program has none."""
    file = config_folder() / ("quickstart.yaml" if problem == "translation" else f"{problem}.yaml")
    return file if file.exists() else Path()


def list_configs() -> list[str]:
    """The names that `--config` takes."""
    return sorted(path.stem for path in config_folder().glob("*.yaml") if path.stem != "wandb-sweep")


def find_config(name: str) -> Path:
    """The file of a path, or of a configuration of the program by its name without .yaml. Raises UserError."""
    path = named_path("--config", name)
    if path.exists() or path.suffix or "/" in name:
        return path  # reading it reports what is wrong with it
    named = config_folder() / f"{name}.yaml"
    if name not in list_configs():
        raise UserError(f"--config: {name}: no such file or configuration{did_you_mean(name, list_configs())}")
    return named
