"""How commands print, how much, and where to."""

import logging
import os
from pathlib import Path

from pydantic import Field
from rich.console import Console

from model.config import Config
from trainables.base.errors import UserError
from trainables.base.files import named_path
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


def output_file(option: str, name: str | None) -> Path | None:
    """The file that an option names, if it is given. Raises UserError where none can be written."""
    if name is None:
        return None
    file = named_path(option, name)
    if file.is_dir() or file.is_fifo() or not os.access(file.parent, os.W_OK):
        raise UserError(f"{option}: {name} can't be written: name a file in a folder that takes one")
    return file
