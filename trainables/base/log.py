"""Messages of a program: on the terminal, and with times in the log of a run (`driver_log.py`).

As in other libraries, messages go to a logger, `babeltune`, to which a program adds handlers.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from textwrap import TextWrapper

from rich.console import Console

NOTICE = 25  # for the terminal: above INFO, which is for the log
logger = logging.getLogger("babeltune")  # its children, such as babeltune.work, log, too
logging.addLevelName(NOTICE, "NOTICE")


def say(text: str) -> None:
    """Log a message about what happens."""
    logger.log(NOTICE, "%s", text)


def warn(text: str) -> None:
    """Log a warning."""
    logger.warning("%s", text)


class _Terminal(logging.Handler):
    def __init__(self, console: Console, level: int):
        super().__init__(level)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line, broken between words on a terminal, so that paths can be copied.

        Raises OSError if the terminal is closed, which the command handles.
        """
        warning = record.levelno >= logging.WARNING
        style = "yellow" if warning else "dim" if record.levelno < NOTICE else ""
        text = f"warning: {record.getMessage()}" if warning else record.getMessage()
        if self.console.is_terminal:
            wrapper = TextWrapper(self.console.width, break_long_words=False, break_on_hyphens=False)
            text = "\n".join(map(wrapper.fill, text.split("\n")))
        self.console.print(text, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Pass messages of the block to a handler, and not to handlers of the root logger."""
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if not logger.handlers:
            logger.setLevel(logging.NOTSET)
            logger.propagate = True


def shown_on(console: Console, level: int = NOTICE) -> AbstractContextManager[None]:
    """Print messages of the block; level: WARNING for warnings only, INFO for everything in the log of a run."""
    return handled_by(_Terminal(console, level))
