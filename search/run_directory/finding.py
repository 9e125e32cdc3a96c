"""Finds a run by its path or name; for a wrong name, lists the runs that exist."""

from pathlib import Path

from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import named_path
from trainables.base.installed import program

RUNS = Path("runs")  # the default of output_dir
EXPERIMENT = "experiment.yaml"  # a folder with this file is a run
NEWEST = 10  # the number of runs that a message lists


def find_run(verb: str, name: str, holds: str = EXPERIMENT) -> Path:
    """The run directory at a path, or with this name in `runs/`.

    Args:
        verb: The command, for messages.
        name: What the user gave.
        holds: A file or folder that must be in it.

    Raises:
        UserError: If there is none; the message lists existing runs.
    """
    if not name:
        raise UserError(f"{verb}: name the run, as in `{program(verb)} runs/NAME`{_suggest(RUNS, '', holds)}")
    folder, below = named_path(verb, name), RUNS.absolute() / name
    for run in (folder, below):
        if (run / holds).exists():
            return run
        if (run / EXPERIMENT).exists():
            again = f"`{program('resume')} {run}` continues up to it"
            raise UserError(f"{run}: holds no {holds}/, which a search writes at its end; {again}")
    inside = _suggest(folder, "", holds) if folder.is_dir() else ""
    near = inside or _suggest(RUNS, folder.name, holds)
    lacks = f"not the directory of a run: it holds no {holds}" if holds == EXPERIMENT else f"holds no {holds}/"
    raise UserError(f"{folder}: {lacks}{near}")


def _suggest(folder: Path, name: str, holds: str) -> str:
    """The end of a message: the runs in a folder, the newest first."""
    runs = sorted((file.parent for file in folder.glob(f"*/{holds}")), key=lambda run: -run.stat().st_mtime)
    near = did_you_mean(name, [run.name for run in runs], f"{folder}/")
    listed = ", ".join(f"{folder}/{run.name}" for run in runs[:NEWEST])
    return near if "did you mean" in near else f"; there is {listed}" if listed else ""
