"""A program ends in a sentence, whatever happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_run import COMMAND, ROOT

from trainables.base.ending import ended_by_signals, exit_status
from trainables.base.errors import Diverged, UserError


def ending(error: BaseException) -> tuple[int, str]:
    told: list[str] = []

    def call() -> int:
        raise error

    return exit_status(call, told.append, "go on"), " ".join(told)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("name it"), 2, "name it"),
        (Diverged("nan"), 1, "diverged: nan"),
        (KeyboardInterrupt(), 130, "go on"),
        (
            OSError(28, "No space left on device", "/full/file"),
            2,
            "/full/file: No space left on device; written files",
        ),
        (ZeroDivisionError("by\nzero"), 1, "unexpected error: ZeroDivisionError: by zero; please report it with "),
    ],
)
def test_each_error_has_its_status_and_its_sentence(error: BaseException, status: int, said: str) -> None:
    found, told = ending(error)
    assert (found, told[: len(said)]) == (status, said)


def test_what_nobody_foresaw_is_kept_in_a_file() -> None:
    _, told = ending(ZeroDivisionError("by zero"))
    file = Path(told.partition("report it with ")[2].partition(";")[0])
    assert "Traceback" in file.read_text() and "ZeroDivisionError: by zero" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_interrupt_once_and_are_given_back(number: int) -> None:
    handlers: list[object] = [signal.getsignal(number)]
    signal.signal(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), number)
        pytest.fail("it was not taken")
    assert signal.getsignal(number) is signal.SIG_DFL
    signal.signal(number, signal.SIG_IGN)
    with ended_by_signals():
        if number == signal.SIGHUP:
            os.kill(os.getpid(), number)  # as after nohup
    signal.signal(number, handlers[0])  # type: ignore[arg-type]


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "babeltune": lambda: [*COMMAND, "configs"],
    "trainables": lambda: [sys.executable, "-m", "trainables", "--help"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_takes_no_utf8_or_is_closed_is_no_error(name: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(COMMANDS[name](), capture_output=True, env=environment, cwd=ROOT)
    assert done.returncode == 0 and done.stdout and b"Traceback" not in done.stderr
    done.stdout.decode("ascii")
    read, write = os.pipe()
    os.close(read)
    closed = subprocess.run(COMMANDS[name](), stdout=write, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(write)
    assert closed.returncode in (0, 1) and b"Traceback" not in closed.stderr
