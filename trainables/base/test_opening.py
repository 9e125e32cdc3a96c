"""The record of openings of the test data, which are refused before the finalists are frozen."""

import os
import socket
import time
from pathlib import Path

from trainables.base.files import append_line, unwritable
from trainables.base.sealing import read_sealed, sealed


def open_test(run_dir: Path, why: str, test: str | None = None) -> None:
    """Record that the test data are opened now: when, why, by which process, and when the finalists were frozen.

    test: the name of the test, if there are several.

    Each opening is a line of test_opened.jsonl in the run. Raises UserError if it can't be written, RuntimeError if no
    finalists are frozen.
    """
    finalists = run_dir / "finalists.json"
    if not finalists.is_file():
        raise RuntimeError(f"the test data stay closed until {finalists} is written")
    opening = {
        "opened_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "why": why,
        **({} if test is None else {"test": test}),
        "frozen_at": read_sealed(finalists).get("frozen_at"),
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    try:
        append_line(run_dir / "test_opened.jsonl", sealed(opening))
    except OSError as error:
        raise unwritable(run_dir / "test_opened.jsonl", error) from error
