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

    verbose: bool = Field(False, description="print also what driver.log gets")
    quiet: bool = Field(False, description="print only warnings")

    @property
    def level(self) -> int:
        """The lowest level of log messages that are printed; with both options, that of --verbose."""
        return logging.INFO if self.verbose else logging.WARNING if self.quiet else NOTICE


def say(console: Console, text: str) -> None:
    """Print a line as it is, without wrapping or markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def output_file(option: str, name: str | None) -> Path | None:
    """The file of an option, if given. Raises UserError if it can't be written."""
    if name is None:
        return None
    file = named_path(option, name)
    if file.is_dir() or file.is_fifo() or not os.access(file.parent, os.W_OK):
        raise UserError(f"{option}: {name} can't be written: name a file in a folder with write access")
    return file
