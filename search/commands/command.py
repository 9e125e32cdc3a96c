"""`babeltune command check FILE`: tries out the command of a search, so that its description can be corrected."""

from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.commands.search import with_keys
from search.settings.experiment import experiment_class
from search.settings.problem import COMMAND
from trainables.base.command_line import Common, parse_options, read_config, take
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program


class Checking(Config):
    """What is tried out."""

    what: CliPositionalArg[Literal["check", ""]] = Field("", description="check: two rounds, a pause, a translation")
    file: CliPositionalArg[str] = Field("", description="YAML of a search with problem: command")


def main(arguments: list[str], console: Console) -> int:
    """Try the command out, and say what holds. Returns 0 if it can be searched. Raises UserError otherwise."""
    about = Program(program("command check"), COMMANDS["command"].about)
    own, options = take(Checking, parse_options(with_keys(Checking, COMMAND), arguments, about, Common))
    if not (own.what and own.file):
        raise UserError(f"command: name what to do and the configuration, as in `{program('command check')} FILE.yaml`")
    experiment, _, _ = read_config(experiment_class(COMMAND), {**options, "config": own.file})
    if experiment.problem != COMMAND:
        raise UserError(
            f"{own.file}: problem: {experiment.problem} is trained here; only problem: command can be checked"
        )
    from search.command.check import check_command, verdicts
    from search.command.finals_config import command_of

    found = check_command(experiment, lambda text: say(console, text))
    for text in found.translations:
        say(console, f"  {text or '(blank)'}")
    for text in verdicts(found, command_of(experiment)):
        say(console, text)
    return 0
