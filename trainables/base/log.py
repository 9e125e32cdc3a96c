"""What a program tells while it works: on the terminal, and with times in the log of a run (`driver_log.py`).

Code that is used as a library tells as other libraries do: by the logger `babeltune`, to which a program adds handlers.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from textwrap import TextWrapper

from rich.console import Console

NOTICE = 25  # for people who watch: above INFO, which is for those who look into the log
logger = logging.getLogger("babeltune")  # its children log, too, as babeltune.work
logging.addLevelName(NOTICE, "NOTICE")


def say(text: str) -> None:
    """Tell what happens."""
    logger.log(NOTICE, "%s", text)


def warn(text: str) -> None:
    """Tell what may be wrong."""
    logger.warning("%s", text)


class _Terminal(logging.Handler):
    def __init__(self, console: Console, level: int):
        super().__init__(level)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line: on a terminal broken between words, so that paths can be copied; as it is elsewhere.

        Raises OSError where the terminal is closed, which the command handles.
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
    """Pass to a handler, and to no handler of the root, what is told in the block."""
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
    """Print what is told in the block; level: WARNING for warnings alone, INFO for what the log of a run has."""
    return handled_by(_Terminal(console, level))
