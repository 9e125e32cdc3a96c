"""The command line: `python search/run.py`, or `babeltune` where it is installed; --help says what it takes."""

import sys
from collections.abc import Callable
from importlib import import_module

from rich.console import Console

from search.commands.lines import say
from trainables.base.ending import end_in_words
from trainables.base.errors import UserError, did_you_mean

# Each takes (arguments, console) and gives its status; imported when it is called, as most need seconds of imports.
COMMANDS = {
    "plan": "plan:main",
    "resume": "resume:main",
    "fetch": "fetch:main",
    "publish": "publish:main",
    "translate": "translate:main",
    "replay": "replay:main",
    "clean": "clean:main",
    "doctor": "doctor:main",
    "configs": "installation:configs",
    "schema": "installation:schema",
    "completion": "completion:main",
    "--version": "installation:show_version",
}


def main(arguments: list[str]) -> int:
    """Run a command; its status."""

    def call() -> int:
        first = arguments[0] if arguments else "--"
        if first in COMMANDS:
            return _load(COMMANDS[first])(arguments[1:], Console())
        if not first.startswith("-"):
            raise UserError(f"{first}: unknown command{did_you_mean(first, list(COMMANDS)[:-1])}")
        return _load("search:main")(arguments, Console())

    return end_in_words(call, lambda text: say(Console(stderr=True, style="red"), text))


def command() -> None:
    """The command `babeltune`."""
    sys.exit(main(sys.argv[1:]))


def _load(name: str) -> Callable[[list[str], Console], int]:
    module, _, function = name.partition(":")
    return getattr(import_module(f"search.commands.{module}"), function)


if __name__ == "__main__":
    command()
