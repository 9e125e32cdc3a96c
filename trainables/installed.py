"""What the program runs as and on: its name on the command line, its version, its files, the processor."""

import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trainables.errors import UserError
from trainables.files import named_path


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


def processor() -> str:
    """The name of this machine's."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def config_folder() -> Path:
    """Where the configurations and cluster files lie; in a checkout a link to configs/."""
    return Path(__file__).parents[1] / "search" / "configs"


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
        raise UserError(f"--config: {name}: no such file; configurations by name are {', '.join(list_configs())}")
    return named
