"""How a program of this project ends: in a sentence, whatever happens, and by any signal as by Ctrl-C."""

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


def end_in_words(call: Callable[[], int], tell: Callable[[str], None], interrupted: str = "") -> int:
    """The status of a call: its own, 2 for what the user can fix, 1 for all else, INTERRUPTED.

    tell: prints a sentence. interrupted: what to say after Ctrl-C.
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
    except BrokenPipeError:  # whoever read our output has gone
        told, status = "", 1
    except OSError as error:  # of the machine: no permission, no room, a name that is too long
        where = str(error.filename)[:100] if error.filename else "the system"
        told, status = f"{where}: {error.strerror or error}; what was written stays: fix it, then go on", 2
    except Exception as error:  # what nobody foresaw
        told, status = _unforeseen(error), 1
    with suppress(OSError, ValueError):  # a terminal that is gone
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
    sys.stdout.flush()  # what can't be written is an error now, not after the end
    return status


def take_any_output() -> None:
    """A terminal or a file that takes ASCII alone gets "?" in place of other characters, and no error.

    A stream that is closed stays so, but no file that is opened later takes its place.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.close(number)  # it may be another file's by now, of an import
            # What is read or written there fails, as on a closed stream.
            closed = os.open(os.devnull, os.O_WRONLY if mode == "r" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(closed, mode))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


class Lasting:
    """A stream for people to look at, whose end is the end of nothing else: what can't be written is dropped."""

    def __init__(self, stream: TextIO):
        self._stream, self._gone = stream, False

    def write(self, text: str) -> int:
        """Write what can be written; all of it counts as written."""
        if not self._gone:
            self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if the stream is still there."""
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
    """Within the block a terminal that is gone, a pipe that nobody reads and a full disk behind it end nothing."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Lasting(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM (a time limit, `docker stop`) and SIGHUP (a closed terminal) interrupt the block as Ctrl-C does, once.

    SIGHUP stays ignored where it was, as by nohup.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    listen()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen() -> None:
    """Take the signals, as `ended_by_signals` does: for after another library has taken them."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def give_up(text: str) -> None:
    """Say why and end, whatever the main thread waits for."""
    with suppress(OSError, ValueError):  # a terminal that is gone
        print(text, file=sys.stderr, flush=True)
    os._exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # it comes twice where a whole group of processes gets it
    raise KeyboardInterrupt


def _unforeseen(error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="babeltune-", suffix=".txt", delete=False) as file:
            file.write(f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}")
    except OSError:
        return f"unforeseen: {reason}"
    return f"unforeseen: {reason}; please report it with {file.name}; what was written stays: go on by the same command"


def _forget(stream: TextIO) -> None:
    """What Python still wants to write there at its end goes nowhere."""
    with suppress(OSError, ValueError):  # a stream of a test, without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent, even one that was killed and could say nothing."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
