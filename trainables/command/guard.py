"""A program that runs a command, and ends all that the command started.

    python -I -S guard.py GRACE_SECONDS INPUT COMMAND...

The command gets the file INPUT as its standard input. It is ended when "stop" is written to the standard input of this
program: by SIGTERM, and after the grace period by SIGKILL. When that input closes, the process that started this one
has died, and the command is killed at once. Whatever the command leaves behind when it ends is killed, too: its process
group, and on Linux also processes that left the group. The exit status is that of the command.

Two processes do this: the first one waits for the second, which is the guard. Ray kills the children of a worker that
ends, but not their children, so the guard stays to end the command. If the guard itself is killed, the command dies
with it, on Linux.

It imports the standard library alone, so it starts at once.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # of Linux: the signal for a process whose parent dies
PR_SET_CHILD_SUBREAPER = 36  # orphans of the command become children of this process
POLL_SECONDS = 0.05
LEFTOVER_SECONDS = 10.0  # for processes to die of SIGKILL; one that waits for a disk takes its time


def main(grace: float, given: str, command: list[str]) -> int:
    """Run the command under a guard of its own; returns its exit status, 128 + N if signal N ended it."""
    if guard := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(guard, 0)[1])
        return status if status >= 0 else 128 - status
    os.setsid()
    return run(grace, given, command)


def run(grace: float, given: str, command: list[str]) -> int:
    """Run the command in this process, the guard; returns its exit status."""
    _control(PR_SET_CHILD_SUBREAPER, 1)
    # Descriptors of locks are inherited, so they are held as long as anything of the command is alive.
    with Path(given).open("rb") as stdin:
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                start_new_session=True,
                close_fds=False,
                preexec_fn=lambda: _control(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        except OSError as error:
            print(f"{command[0]}: can't be started: {error.strerror}", file=sys.stderr)
            return 127
    try:
        _wait(process, grace)
    finally:
        _kill_group(process, signal.SIGKILL)
        process.wait()
        _kill_orphans()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _control(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # on other systems there is the process group alone
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wait(process: subprocess.Popen[bytes], grace: float) -> None:
    """Wait until the command ends, or should end."""
    while process.poll() is None:
        if not select.select([0], [], [], POLL_SECONDS)[0]:
            continue
        if not os.read(0, 100):
            return
        _kill_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        return


def _kill_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _kill_orphans() -> None:
    """Kill what became a child of this process, and what becomes one by that."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while (children := _children()) and time.monotonic() < deadline:
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(POLL_SECONDS / 5)


def _children() -> list[int]:
    """The processes whose parent this one is, on Linux; none elsewhere."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
