"""`babeltune completion SHELL`: a script for a shell to complete commands, options and their values."""

from argparse import Action, ArgumentParser

from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import ABOUT, COMMANDS, load
from trainables.base.command_line import make_parser, parse_arguments
from trainables.base.errors import UserError, did_you_mean, either
from trainables.base.extras import need_extra
from trainables.base.help_pages import Program
from trainables.base.installed import program

SHELLS = ("bash", "zsh", "fish")
FILES = ("--config", "--output", "--attention", "run")
FOLDERS = ("--data.path", "--output_dir", "--tables")


class Completing(Config):
    """The shell."""

    shell: CliPositionalArg[str] = ""


def main(arguments: list[str], console: Console) -> int:
    """Print the script for a shell. Raises UserError."""
    options = parse_arguments(Completing, arguments, Program(program("completion"), COMMANDS["completion"].about))
    if options.shell not in SHELLS:
        wrong = f"{options.shell} is not a known shell{did_you_mean(options.shell, SHELLS)}"
        raise UserError(f"completion: {wrong if options.shell else f'name a shell: {either(SHELLS)}'}")
    need_extra("completion", "shtab", "shtab", "completion")
    import shtab

    print(shtab.complete(whole_parser(), shell=options.shell))
    return 0


def whole_parser() -> ArgumentParser:
    """A parser of all commands and their options. It takes seconds, as each command's module is imported."""
    parser = _parser("babeltune", ABOUT, COMMANDS["search"].options)
    commands = parser.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        parents = [_parser(name, command.about, command.options)]
        commands.add_parser(name, help=command.about, parents=parents, conflict_handler="resolve")
    return parser


def _parser(name: str, about: str, options: str) -> ArgumentParser:
    parser = make_parser(load(options), name, about)
    for action in parser._actions:
        _complete(action)
    return parser


def _complete(action: Action) -> None:
    """Mark an option that takes a file or a folder, for shtab."""
    import shtab

    names = (*action.option_strings, action.dest)
    if any(name in FILES for name in names):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif any(name in FOLDERS for name in names):
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif action.dest == "shell":
        action.choices = SHELLS
