"""Go on with a run, perhaps with changed keys."""

from pathlib import Path

from rich.console import Console

from search.commands import ABOUT
from search.commands.lines import split_level
from search.commands.search import search
from search.remote.fetching import fetch_run
from search.run_directory.changes import find_change
from search.run_directory.trust import ALL, PUBLISHED, check_trust
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from trainables.base.command_line import override
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.installed import program

TRUST = "--trust"


def main(arguments: list[str], console: Console) -> int:
    """Go on with a run to its report. Raises UserError."""
    arguments, level = split_level(arguments)
    return search(*resumed_experiment(arguments, "resume"), console, level)


def resumed_experiment(arguments: list[str], verb: str) -> tuple[Experiment, set[str]]:
    """The experiment of a run directory to `verb`, perhaps with changed keys, and the keys that the command line sets.

    Raises UserError, also for a run of somebody else that was not looked at.
    """
    if not arguments or not arguments[0] or arguments[0].startswith("-"):
        raise UserError(f"{verb}: name the run, as in `{program(verb)} runs/NAME`")
    url = arguments[0] if "://" in arguments[0] else None
    run_dir = fetch_run(url, Path("runs")) if url else named_path(verb, arguments[0])
    stored = stored_experiment(run_dir, url, TRUST in arguments)
    file = run_dir / "experiment.yaml"
    options = [argument for argument in arguments[1:] if argument != TRUST]
    experiment, given = override(stored, options, program(f"{verb} {arguments[0]}"), ABOUT, file)
    given |= {"storage"} if url else set()
    if verb == "publish" and experiment != stored.model_copy(update={"tracking": experiment.tracking}):
        raise UserError("publish: changes nothing of a search; of its keys it takes those of tracking alone")
    if TRUST not in arguments:
        check_trust(stored, given, PUBLISHED if verb == "publish" else ALL)
    find_change(stored, experiment)
    return experiment, given
