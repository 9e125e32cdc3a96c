"""A command that runs in a process group of its own, under a guard that ends it when this process dies."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError
from trainables.command.placeholders import fill

GUARD = Path(__file__).with_name("guard.py")
SLACK_SECONDS = 30  # that the guard needs at most, besides the grace period


class Process:
    """A running command, whose output goes into a log."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        folder: str,
        environment: Mapping[str, str],
        grace: float,
        locks: Sequence[int] = (),
        given: Path = Path("/dev/null"),
        output: Path | None = None,
    ):
        """Start the command.

        Args:
            command: The program and its arguments.
            log: The file to which its output is appended.
            folder: The working directory.
            environment: All its environment variables.
            grace: Seconds from SIGTERM to SIGKILL when it is ended.
            locks: Descriptors that it inherits.
            given: The file that it gets as standard input.
            output: The file for its standard output, if that is not the log.
        """
        self._grace = grace
        with log.open("ab") as errors, (output or log).open("ab") as out:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(grace), str(given), *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=errors,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
                pass_fds=locks,
            )

    def status(self) -> int | None:
        """The exit status once it has ended, 128 + N if signal N ended it; None while it runs."""
        code = self._guard.poll()
        return code if code is None or code >= 0 else 128 - code

    def end(self) -> None:
        """End the command, and all that it has started."""
        assert self._guard.stdin
        if self._guard.poll() is None:
            try:
                self._guard.stdin.write(b"stop\n")
                self._guard.stdin.flush()
                self._guard.wait(self._grace + SLACK_SECONDS)
            except (OSError, subprocess.TimeoutExpired):  # it ends at the end of its input
                pass
        self._guard.stdin.close()
        self._guard.wait()


def command_line(template: str, values: Mapping[str, Any]) -> list[str]:
    """The words of a command line in a shell's notation; no value is ever split or interpreted. Raises ValueError."""
    return [str(fill(word, values)) for word in shlex.split(template)]


def check_program(key: str, template: str, values: Mapping[str, Any], folder: str) -> None:
    """Raises UserError if the program of a command line can't be found. key: of the configuration."""
    if not Path(folder).is_dir():
        raise UserError(f"command.folder: {folder} is not a folder; name the one in which commands are started")
    try:
        program, *_ = command_line(template, values)
    except ValueError as error:
        raise UserError(f"{key}: {template!r} can't be read as a command line: {error}") from None
    place = str(Path(folder) / program) if "/" in program else program
    if shutil.which(place) is None:
        raise UserError(
            f"{key}: the program {program} is not found here; give its path, as by command.python, or install it"
        )
