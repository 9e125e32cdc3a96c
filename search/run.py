"""The command line: `python search/run.py`, or `babeltune` if it is installed; see --help."""

import sys
from pathlib import Path

from rich.console import Console

from search.commands import COMMANDS, load
from search.commands.lines import say
from trainables.base.ending import exit_status
from trainables.base.errors import UserError, did_you_mean
from trainables.base.installed import list_configs, program


def main(arguments: list[str]) -> int:
    """Run a command. Returns its exit status."""

    def call() -> int:
        if not arguments or arguments[0].startswith("-"):
            return _run("search", arguments)
        if arguments[0] not in COMMANDS:
            raise UserError(f"{arguments[0]}: unknown command{_nearest(arguments[0])}")
        return _run(arguments[0], arguments[1:])

    return exit_status(call, lambda text: say(Console(stderr=True, style="red"), text))


def command() -> None:
    """The command `babeltune`."""
    sys.exit(main(sys.argv[1:]))


def _run(name: str, arguments: list[str]) -> int:
    status: int = load(COMMANDS[name].place)(arguments, Console())
    return status


def _nearest(word: str) -> str:
    """The end of a message: what an unknown command may have meant."""
    if word.endswith((".yaml", ".yml")) or word in list_configs():
        return f"; did you mean --config {word}?"
    for run in (word, f"runs/{word}"):
        if "\0" not in run and Path(run, "experiment.yaml").is_file():
            return f"; did you mean `{program('resume')} {run}`?"
    return did_you_mean(word, [*COMMANDS, "--help", "--version"])


if __name__ == "__main__":
    command()
