"""Commands about the installation: configurations, the schema of their keys, versions."""

import json
import platform
from itertools import takewhile

from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from trainables.base.command_line import parse_arguments
from trainables.base.help_pages import Program
from trainables.base.installed import config_folder, list_configs, program, version_of


class Nothing(Config):
    """A command that takes no options."""


def configs(arguments: list[str], console: Console) -> int:
    """Print the name and first sentence of each configuration."""
    parse_arguments(Nothing, arguments, Program(program("configs"), COMMANDS["configs"].about))
    folder = config_folder()
    for name in list_configs():
        lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        comment = " ".join(line[2:] for line in takewhile(lambda line: line.startswith("#"), lines[1:]))
        say(console, f"{name:16} {comment.partition('. ')[0].rstrip('.')}")
    say(console, f"{folder} has them, and in clusters/ the files for `ray up`, Kubernetes and Slurm")
    return 0


def schema(arguments: list[str], console: Console) -> int:
    """Print the JSON Schema of a configuration."""
    from search.settings.experiment import experiment_class
    from search.settings.problem import TRANSLATION

    parse_arguments(Nothing, arguments, Program(program("schema"), COMMANDS["schema"].about))
    print(json.dumps(experiment_class(TRANSLATION).model_json_schema(), indent=1))
    return 0


def show_version(console: Console) -> None:
    """Print the versions of everything that results depend on."""
    packages = ("torch", "ray", "optuna", "sacrebleu", "sentencepiece", "wandb")
    versions = ", ".join(f"{name} {version_of(name) or 'missing'}" for name in packages)
    say(console, f"babeltune {version_of('babeltune')} (Python {platform.python_version()}, {versions})")
