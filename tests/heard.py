"""What people are told: the lines of `say` and `warn`."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from trainables.base.log import NOTICE, handled_by


class Heard(logging.Handler):
    """What was told in a block; where a run is named, by this thread and the one that serves the run."""

    def __init__(self, run_dir: object = None):
        super().__init__(NOTICE)
        self.threads = {threading.current_thread().name, f"W&B of {run_dir}"} if run_dir else set()
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not self.threads or record.threadName in self.threads:
            (self.warnings if record.levelno >= logging.WARNING else self.lines).append(record.getMessage())


@contextmanager
def heard(run_dir: object = None) -> Iterator[Heard]:
    """run_dir: of a search beside others of this process."""
    handler = Heard(run_dir)
    with handled_by(handler):
        yield handler
