"""How commands print, and how much."""

import logging

from pydantic import Field
from rich.console import Console

from model.config import Config
from trainables.base.log import NOTICE


class Levels(Config):
    """How much is printed."""

    verbose: bool = Field(False, description="print what the log of the run has, too")
    quiet: bool = Field(False, description="print warnings alone")

    @property
    def level(self) -> int:
        """The level of the log below which nothing is printed. With both options it is that of --verbose."""
        return logging.INFO if self.verbose else logging.WARNING if self.quiet else NOTICE


def say(console: Console, text: str) -> None:
    """A line as it is, never wrapped and never taken for markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
