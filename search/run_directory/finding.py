"""Finds a run by its path or name; for a wrong name, lists the runs that exist."""

from pathlib import Path

from trainables.base.errors import UserError, did_you_mean
from trainables.base.files import named_path
from trainables.base.installed import program

RUNS = Path("runs")  # the default of output_dir
EXPERIMENT = "experiment.yaml"  # a folder with this file is a run
NEWEST = 10  # the number of runs that a message lists


def places_of(name: str, output_dir: str | None = None) -> list[Path]:
    """Where a run of that name may be: the path itself, then in the folder that is named, or in `runs/`."""
    return [Path(name), (Path(output_dir) if output_dir else RUNS) / name]


def find_run(verb: str, name: str, holds: str = EXPERIMENT, output_dir: str | None = None) -> Path:
    """The run directory at a path, or with this name in `output_dir`.

    Args:
        verb: The command, for messages.
        name: What the user gave.
        holds: A file or folder that must be in it.
        output_dir: The folder of runs; `runs/` by default.

    Raises:
        UserError: If there is none; the message lists existing runs.
    """
    runs = named_path("--output_dir", output_dir) if output_dir else RUNS
    if not name:
        raise UserError(f"{verb}: name the run, as in `{program(verb)} runs/NAME`{_suggest(runs, '', holds)}")
    folder = named_path(verb, name)
    for run in (folder, *(place.absolute() for place in places_of(name, output_dir)[1:])):
        if (run / holds).exists():
            return run
        if (run / EXPERIMENT).exists():
            again = f"`{program('resume')} {run}` continues up to it"
            raise UserError(f"{run}: holds no {holds}/, which a search writes at its end; {again}")
    inside = _suggest(folder, "", holds) if folder.is_dir() else ""
    near = inside or _suggest(runs, folder.name, holds)
    lacks = f"not the directory of a run: it holds no {holds}" if holds == EXPERIMENT else f"holds no {holds}/"
    raise UserError(f"{folder}: {lacks}{near or '; name the folder of your runs by --output_dir'}")


def _suggest(folder: Path, name: str, holds: str) -> str:
    """The end of a message: the runs in a folder, the newest first."""
    runs = sorted((file.parent for file in folder.glob(f"*/{holds}")), key=lambda run: -run.stat().st_mtime)
    near = did_you_mean(name, [run.name for run in runs], f"{folder}/")
    listed = ", ".join(f"{folder}/{run.name}" for run in runs[:NEWEST])
    return near if "did you mean" in near else f"; there is {listed}" if listed else ""
