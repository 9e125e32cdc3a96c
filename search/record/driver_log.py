"""RUN/driver.log: what a search did and when, such as in a night on machines that come and go."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainables.base.log import handled_by, logger

LOG = "driver.log"


class _File(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # as logging calls it
        """Do nothing: an error in the log, such as a full disk, must not disturb the search."""


@contextmanager
def driver_log(run_dir: Path) -> Iterator[None]:
    """Append the log messages of the block, with times in UTC, to the log of a run, if it can be opened."""
    file = run_dir / LOG
    if file.exists() and not file.is_file():  # a pipe would wait for a reader
        yield
        return
    try:
        handler = _File(file, encoding="utf-8", errors="replace")
    except OSError:
        yield
        return
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    try:
        with handled_by(handler):
            try:
                yield
            except BaseException as error:
                logger.info("the driver ends: %s: %s", type(error).__name__, " ".join(str(error).split())[:500])
                raise
            logger.info("the driver ends: all is done")
    finally:
        with suppress(OSError):
            handler.close()
