"""`babeltune completion SHELL`: what a shell needs to complete commands, options and their values."""

from argparse import Action, ArgumentParser
from typing import Any, Literal, get_args

from rich.console import Console

from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.command_line import make_parser
from trainables.base.errors import UserError
from trainables.base.extras import need_extra

Shell = Literal["bash", "zsh", "fish"]
FILES = ("--config", "--output", "--attention", "run")
FOLDERS = ("--data.path", "--output_dir", "--tables")


def main(arguments: list[str], console: Console) -> int:
    """Print the script for a shell. Raises UserError."""
    shell = arguments[0] if arguments else ""
    if shell not in get_args(Shell):
        raise UserError(f"completion: {shell or 'no shell'}: name one of {', '.join(get_args(Shell))}")
    need_extra("completion", "shtab", "shtab", "completion")
    import shtab

    print(shtab.complete(whole_parser(), shell=shell))
    return 0


def whole_parser() -> ArgumentParser:
    """All commands and their options. Takes seconds, as each command's module is imported."""
    from search.commands.clean import Cleaning
    from search.commands.doctor import Doctoring
    from search.commands.replay import Replaying
    from search.commands.translate import Translating

    parser = _with_files(
        make_parser(experiment_class(TRANSLATION), "babeltune", "Search for the best translation model.")
    )
    parser.add_argument("--version", action="store_true", help="versions, for a report of a fault")
    _add_levels(parser)
    commands = parser.add_subparsers(dest="command")

    def add(name: str, about: str, config_class: Any = None) -> ArgumentParser:
        parents = [_with_files(make_parser(config_class, name, about))] if config_class else []
        command: ArgumentParser = commands.add_parser(name, help=about, parents=parents, conflict_handler="resolve")
        return command

    for name, about in (("resume", "go on with a search, or extend it"), ("publish", "send to W&B what it lacks")):
        command = add(name, about, experiment_class(TRANSLATION))
        command.add_argument(
            "--trust", action="store_true", help="follow hosts and code that somebody else's run names"
        )
        _add_levels(command)
        _complete(command.add_argument("run"))
    add("fetch", "bring a run from its storage").add_argument("url")
    add("translate", "translate standard input", Translating)
    add("replay", "how soon a policy finds the best", Replaying)
    add("clean", "remove what runs and caches no longer need", Cleaning)
    add("doctor", "what this machine can do", Doctoring)
    add("configs", "configurations by name")
    add("schema", "the JSON Schema of a configuration")
    add("completion", "this script").add_argument("shell", choices=get_args(Shell))
    return parser


def _add_levels(parser: ArgumentParser) -> None:
    for name, what in (("--verbose", "print what the log of the run has, too"), ("--quiet", "print warnings alone")):
        parser.add_argument(name, action="store_true", help=what)


def _with_files(parser: ArgumentParser) -> ArgumentParser:
    for action in parser._actions:
        _complete(action)
    return parser


def _complete(action: Action) -> None:
    """Say where an option takes a file or a folder; shtab reads it there."""
    import shtab

    names = (*action.option_strings, action.dest)
    if any(name in FILES for name in names):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif any(name in FOLDERS for name in names):
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
