"""Runs searches from Python. Each runs the command in a process of its own.

So the environment, signals, loggers and memory of the calling process do not change, Ray and CUDA never start in it,
and results are always those of the command.
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
from typing import IO, TYPE_CHECKING, Any

from search.api.result import Result
from search.settings.experiment import Experiment
from trainables.base.ending import INTERRUPTED
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.yaml_files import dump_yaml

if TYPE_CHECKING:  # it imports torch
    from search.translation.comparing import ComparedRuns

TERMINAL_SECONDS = 3.0  # before the signal is sent, as a terminal may have sent it
END_SECONDS = 60.0  # the longest time in which an interrupted search ends


def search(experiment: Experiment, quiet: bool = False) -> Result:
    """Run a search to its report.

    Args:
        experiment: What to search. Without a name, it gets one from the time.
        quiet: Print only warnings, no progress.

    Returns:
        What the search found, read from its run directory.

    Raises:
        UserError: For an error that the caller can fix; the message says how. Nothing is lost: `resume` continues.
        RuntimeError: For an unexpected error.
        KeyboardInterrupt: If the caller is interrupted. The search has ended, and nothing is lost.
    """
    if experiment.name is None:
        experiment = experiment.model_copy(update={"name": f"search-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"})
    with tempfile.TemporaryDirectory(prefix="babeltune-") as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(dump_yaml(experiment), encoding="utf-8")
        try:
            _call(["--config", str(file)], quiet)
        except UserError as error:  # without the name of our temporary file
            raise UserError(str(error).replace(f"{file}: ", "")) from None
    return load_run(experiment.run_dir)


def resume(
    run: str | os.PathLike[str], changes: Mapping[str, Any] | None = None, trust: bool = False, quiet: bool = False
) -> Result:
    """Continue a search that was stopped, or extend one.

    Args:
        run: The directory of the run, or the address of its copy in an object store.
        changes: Dotted keys with new values, such as {"search.trials": 40}.
        trust: Whether to use the hosts and code that are named in somebody else's run.
        quiet: Print only warnings, no progress.

    Returns:
        What the search found.

    Raises:
        UserError, RuntimeError, KeyboardInterrupt: As `search`.
    """
    name, written = os.fspath(run), {key: _written(value) for key, value in (changes or {}).items()}
    _call(["resume", name, *(f"--{key}={text}" for key, text in written.items()), *(["--trust"] * trust)], quiet)
    return load_run(Path("runs") / name.rstrip("/").rpartition("/")[2] if "://" in name else name)


def train(
    run: str | os.PathLike[str],
    trial: int | None = None,
    name: str | None = None,
    trust: bool = False,
    quiet: bool = False,
) -> Path:
    """Train one trial of a run again, to its last epoch.

    Args:
        run: The directory of the run.
        trial: The number of the trial; by default the one in `best/`, or before the ranking the best so far.
        name: The folder for its checkpoints, beside the run; "RUN-trial-N" by default.
        trust: Whether to use the code that is named in somebody else's run.
        quiet: Print only the scores.

    Returns:
        The folder, which `babeltune translate` takes.

    Raises:
        UserError, RuntimeError, KeyboardInterrupt: As `search`.
    """
    result = load_run(run, trust)
    number = result.trial(trial).number
    name = name or f"{result.path.name}-trial-{number}"
    _call(["train", str(result.path), f"--trial={number}", f"--name={name}", *(["--trust"] * trust)], quiet)
    return result.path.parent / name


def compare(*runs: str | os.PathLike[str], trust: bool = False) -> "ComparedRuns":
    """Compare the best models of runs with the same test, by paired tests over their seeds and its sentences.

    Args:
        runs: The directories of two or more runs; the metric is that of the first.
        trust: Whether to import the metrics of somebody else's run, which are code.

    Returns:
        Scores, intervals, tests, and the keys in which the configurations differ.

    Raises:
        UserError: If a run has not ended, has another test, or does not translate.
    """
    from search.translation.comparing import comparable, compare_runs

    return compare_runs(comparable([load_run(run, trust).experiment for run in runs], trust))


def load_run(run: str | os.PathLike[str], trust: bool = False) -> Result:
    """Read a run directory; its search need not have ended.

    Args:
        run: The directory of the run.
        trust: Whether to import the problem of somebody else's run, which is code.

    Raises:
        UserError: If it is not a run directory.
    """
    return Result(named_path("load_run", os.fspath(run)), trust)


def _written(value: Any) -> str:
    """The value as text for an option."""
    return value if isinstance(value, str) else json.dumps(value)


def _call(arguments: list[str], quiet: bool) -> None:
    """Run the command, and print what it prints. Raises UserError, RuntimeError or KeyboardInterrupt."""
    command = [sys.executable, "-P", str(Path(__file__).parents[1] / "run.py"), *arguments, *(["--quiet"] * quiet)]
    own = sys.__stdout__
    shown = None if own and sys.stdout is own and own.isatty() else subprocess.PIPE
    # A notebook sets FORCE_COLOR, but can't redraw lines, as a progress bar does.
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
    """End the search, as by Ctrl-C. A terminal sends the signal to both processes, other senders to one only."""
    for number, seconds in ((None, TERMINAL_SECONDS), (signal.SIGINT, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        if number is not None:
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
