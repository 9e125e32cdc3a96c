"""How commands print, and how much."""

import logging

from rich.console import Console

from trainables.base.log import NOTICE

LEVELS = {"--quiet": logging.WARNING, "--verbose": logging.INFO}


def split_level(arguments: list[str]) -> tuple[list[str], int]:
    """The other arguments, and the level of what is printed."""
    asked = [LEVELS[argument] for argument in arguments if argument in LEVELS]
    return [argument for argument in arguments if argument not in LEVELS], [NOTICE, *asked][-1]


def say(console: Console, text: str) -> None:
    """A line as it is, never wrapped and never taken for markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
