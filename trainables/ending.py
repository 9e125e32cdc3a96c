"""How a program of this project ends: in a sentence, whatever happens, and by any signal as by Ctrl-C."""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from trainables.errors import Diverged, UserError

INTERRUPTED = 130  # the status of a program that Ctrl-C ends


def end_in_words(call: Callable[[], int], tell: Callable[[str], None], interrupted: str = "") -> int:
    """The status of a call: its own, 2 for what the user can mend, 1 for all else, INTERRUPTED.

    tell: prints a sentence. interrupted: what to say after Ctrl-C.
    """
    take_any_output()
    try:
        with ended_by_signals():
            return call()
    except KeyboardInterrupt:
        told, status = interrupted, INTERRUPTED
    except UserError as error:
        told, status = str(error), 2
    except Diverged as error:
        told, status = f"diverged: {error}", 1
    except BrokenPipeError:  # whoever read our output has gone
        told, status = "", 1
        _forget_output()
    except OSError as error:  # of the machine: no permission, no room, a name that is too long
        where = str(error.filename)[:100] if error.filename else "the system"
        told, status = f"{where}: {error.strerror or error}; what was written stays: mend it, then go on", 2
    except Exception as error:  # what nobody foresaw
        told, status = _unforeseen(error), 1
    with suppress(OSError, ValueError):  # a terminal that is gone
        if told:
            tell(told)
    return status


def take_any_output() -> None:
    """A terminal or a file that takes ASCII alone gets "?" in place of other characters, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


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


def _forget_output() -> None:
    """What Python still wants to write at its end goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
