"""Searches from Python. Each runs as the command does, in a process of its own.

So the caller's process keeps its environment, signals, loggers and memory, Ray and CUDA never start in it, and a search
equals that of the command by construction.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

from search.api.result import Result
from search.settings.experiment import Experiment
from trainables.base.ending import INTERRUPTED
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.yaml_files import dump_yaml

HEARD_SECONDS = 3.0  # in which a search that was interrupted with its caller begins to end
END_SECONDS = 60.0  # that an interrupted search may take to end


def search(experiment: Experiment, quiet: bool = False) -> Result:
    """Run a search to its report.

    Args:
        experiment: What to search. One without a name gets one by the time.
        quiet: Print warnings alone, no progress.

    Returns:
        What the search found, read from its run directory.

    Raises:
        UserError: For what the caller can fix; the message names it. What was trained stays: `resume` goes on.
        RuntimeError: For what nobody foresaw.
        KeyboardInterrupt: When the caller is interrupted; the search has ended then, and nothing is lost.
    """
    if experiment.name is None:
        experiment = experiment.model_copy(update={"name": f"search-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"})
    with tempfile.TemporaryDirectory(prefix="babeltune-") as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(dump_yaml(experiment), encoding="utf-8")
        try:
            _call(["--config", str(file)], quiet)
        except UserError as error:  # the file is ours, and gone in a moment
            raise UserError(str(error).replace(f"{file}: ", "")) from None
    return load_run(experiment.run_dir)


def resume(
    run: str | os.PathLike[str], changes: Mapping[str, Any] | None = None, trust: bool = False, quiet: bool = False
) -> Result:
    """Go on with a search that was stopped, or extend one.

    Args:
        run: The directory of the run, or the address of its copy in an object store.
        changes: Dotted keys with new values, such as {"search.trials": 40}.
        trust: Whether the hosts and the code that somebody else's run names may be followed.
        quiet: Print warnings alone, no progress.

    Returns:
        What the search found.

    Raises:
        UserError, RuntimeError, KeyboardInterrupt: As `search`.
    """
    name, written = os.fspath(run), {key: _written(value) for key, value in (changes or {}).items()}
    _call(["resume", name, *(f"--{key}={text}" for key, text in written.items()), *(["--trust"] * trust)], quiet)
    return load_run(Path("runs") / name.rstrip("/").rpartition("/")[2] if "://" in name else name)


def load_run(run: str | os.PathLike[str], trust: bool = False) -> Result:
    """Read a run directory, whether its search has ended or not.

    Args:
        run: The directory of the run.
        trust: Whether the problem that somebody else's run names, which is code, may be imported.

    Raises:
        UserError: If it is no run directory.
    """
    return Result(named_path("load_run", os.fspath(run)), trust)


def _written(value: Any) -> str:
    """As an option takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _call(arguments: list[str], quiet: bool) -> None:
    """Run the command; what it prints is printed here. Raises what its end says."""
    command = [sys.executable, "-P", str(Path(__file__).parents[1] / "run.py"), *arguments, *(["--quiet"] * quiet)]
    own = sys.__stdout__
    shown = None if own and sys.stdout is own and own.isatty() else subprocess.PIPE
    # A notebook says FORCE_COLOR, and can't draw a line again, as a progress bar does each time.
    environment = None if shown is None else {**os.environ, "TTY_COMPATIBLE": "0"}
    with subprocess.Popen(
        command, stdout=shown, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
    ) as process:
        errors: list[str] = []
        readers = [Thread(target=_print_lines, args=(process.stdout,))] if process.stdout else []
        readers.append(Thread(target=lambda: errors.extend(process.stderr or ())))
        for reader in readers:
            reader.start()
        try:
            process.wait()
        except BaseException:
            _interrupt(process)
            raise
        finally:
            for reader in readers:
                reader.join()
    message = "".join(errors).strip()
    match process.returncode:
        case 0:
            print(message, file=sys.stderr, end="\n" if message else "")
        case 2:
            raise UserError(message)
        case status if status == INTERRUPTED:
            raise KeyboardInterrupt
        case status:
            raise RuntimeError(message or f"the search ended with status {status}")


def _print_lines(lines: IO[str]) -> None:
    for line in lines:
        print(line, end="", flush=True)


def _interrupt(process: subprocess.Popen[str]) -> None:
    """Let the search end, as after Ctrl-C. A terminal has sent the signal to both processes, others to one."""
    for number, seconds in ((None, HEARD_SECONDS), (signal.SIGINT, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        if number is not None:
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
