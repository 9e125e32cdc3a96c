"""How a program of this project ends: with a message, whatever happens, and after any signal as after Ctrl-C."""

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast

from trainables.base.errors import Diverged, UserError

INTERRUPTED = 130  # the status of a program that Ctrl-C ends


def exit_status(call: Callable[[], int], tell: Callable[[str], None], interrupted: str = "") -> int:
    """The exit status of a call: its own, 2 for errors that the user can fix, 1 for others, INTERRUPTED.

    tell: prints a message. interrupted: the message after Ctrl-C.
    """
    take_any_output()
    try:
        with ended_by_signals():
            told, status = "", _called(call)
    except KeyboardInterrupt:
        told, status = interrupted, INTERRUPTED
    except UserError as error:
        told, status = str(error), 2
    except Diverged as error:
        told, status = f"diverged: {error}", 1
    except BrokenPipeError:  # the reader of our output has ended
        told, status = "", 1
    except OSError as error:  # of the machine: no permission, no space, a name that is too long
        where = str(error.filename)[:100] if error.filename else "the system"
        told, status = f"{where}: {error.strerror or error}; written files are kept: fix it, then continue", 2
    except Exception as error:  # an unexpected error
        told, status = _unexpected(error), 1
    with suppress(OSError, ValueError):  # a closed terminal
        if told:
            tell(told)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _forget(stream)
    return status


def _called(call: Callable[[], int]) -> int:
    try:
        status = call()
    except SystemExit as end:  # of --help
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()  # output that can't be written is an error now, not after the end
    return status


def take_any_output() -> None:
    """A terminal or file that only takes ASCII gets "?" in place of other characters, and no error.

    A closed stream stays closed, but no file that is opened later gets its descriptor.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.close(number)  # an import may have opened another file as this descriptor
            # Reading and writing fail there, as on a closed stream.
            closed = os.open(os.devnull, os.O_WRONLY if mode == "r" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(closed, mode))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


class Lasting:
    """A stream for people that never raises: output that can't be written is dropped."""

    def __init__(self, stream: TextIO):
        self._stream, self._gone = stream, False

    def write(self, text: str) -> int:
        """Write as much as possible; all of it counts as written."""
        if not self._gone:
            self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if the stream is still open."""
        if not self._gone:
            self._try(self._stream.flush)

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except (OSError, ValueError):
            self._gone = True
            _forget(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_output() -> Iterator[None]:
    """In the block, a closed terminal, a pipe that nobody reads or a full disk behind the output raises no error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Lasting(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM (a time limit, `docker stop`) and SIGHUP (a closed terminal) interrupt the block once, like Ctrl-C.

    SIGHUP stays ignored if it was, as under nohup.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    listen()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen() -> None:
    """Handle the signals as in `ended_by_signals`, after another library has set its own handlers."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def give_up(text: str) -> None:
    """Print a message and end, whatever the main thread waits for."""
    with suppress(OSError, ValueError):  # a terminal that is gone
        print(text, file=sys.stderr, flush=True)
    os._exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # it comes twice if a whole process group gets it
    raise KeyboardInterrupt


def _unexpected(error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="babeltune-", suffix=".txt", delete=False) as file:
            file.write(f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}")
    except OSError:
        return f"unexpected error: {reason}"
    return f"unexpected error: {reason}; please report it with {file.name}; written files are kept"


def _forget(stream: TextIO) -> None:
    """Drop what Python would write there when it exits."""
    with suppress(OSError, ValueError):  # a stream of a test, without a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent ends, even if the parent was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
