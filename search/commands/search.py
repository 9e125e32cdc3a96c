"""`babeltune search`, the default command: runs a search to its report."""

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, create_model
from rich.console import Console

from search.commands import ABOUT, COMMANDS
from search.commands.installation import show_version
from search.commands.lines import Levels, say
from search.driver.beginning import forget_first_steps, has_begun
from search.run_directory.prior_sources import find_prior
from search.run_directory.trust import BASE_URL, followed, is_said
from search.settings.experiment import Experiment, experiment_class
from search.settings.preparation import Preparation
from search.settings.problem import TRANSLATION
from search.settings.sweep_file import Sweep, read_sweep
from search.tracking.login import check_login
from trainables.base.arguments import peek
from trainables.base.command_line import parse_options, read_config, take
from trainables.base.ending import INTERRUPTED, lasting_output
from trainables.base.errors import UserError
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.installed import default_config, program
from trainables.base.locks import check_locks
from trainables.base.log import NOTICE, shown_on
from trainables.base.log import say as tell
from trainables.base.mistakes import blame
from trainables.sharing.object_store import Store
from trainables.sharing.storage import find_place


class OfSearch(Levels):
    """The options of `babeltune search` besides the keys of a search."""

    version: bool = Field(False, description="print versions, for a bug report, and exit")
    sweep: str | None = Field(None, title="FILE", description="a W&B sweep, whose keys replace those of the config")


def with_keys(own: type[BaseModel], problem: str) -> type[BaseModel]:
    """A class with the options of a command and the keys of a search for this problem."""
    bases: Any = (experiment_class(problem), own)
    made: type[BaseModel] = create_model(f"{own.__name__}WithKeys", __base__=bases)
    return made


Searching = with_keys(OfSearch, TRANSLATION)


def main(arguments: list[str], console: Console) -> int:
    """Run the search that the options describe. Raises UserError."""
    about = Program(program(), ABOUT, {name: command.about for name, command in COMMANDS.items()})
    problem = peek(arguments, "problem") or TRANSLATION
    own, options = take(OfSearch, parse_options(with_keys(OfSearch, problem), arguments, about))
    if own.version:
        show_version(console)
        return 0
    sweeps: list[Sweep] = []

    def overlay(base: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
        sweeps.append(read_sweep(named_path("--sweep", own.sweep or ""), base))
        for remark in sweeps[0].remarks:
            say(Console(stderr=True), f"{sweeps[0].file.name}: {remark}")  # also beside --print_config
        return sweeps[0].file, sweeps[0].keys

    experiment, file, places = read_config(
        experiment_class(problem), options, default_config(problem), overlay if own.sweep else None
    )
    for sweep in sweeps:
        sweep.check_goal(experiment)
    with blame(places):
        experiment = _named(experiment, file)
        return search(experiment, followed(experiment), console, own.level)


def _named(experiment: Experiment, file: Path) -> Experiment:
    """The experiment with a name that is free. Raises UserError."""
    if experiment.name is None:
        name = f"{file.stem or experiment.problem.rpartition(':')[2]}-{time.strftime('%Y%m%d-%H%M%S')}"
        experiment = experiment.model_copy(update={"name": name})
    if has_begun(experiment.run_dir):
        raise UserError(
            f"name: {experiment.run_dir} exists and is not empty; choose another name, or resume it by "
            f"`{program('resume')} {experiment.run_dir}`"
        )
    if experiment.storage and find_place(experiment.run_url):
        raise UserError(
            f"name: {experiment.run_url} exists; choose another name, or resume it by "
            f"`{program('resume')} {experiment.run_url}`"
        )
    forget_first_steps(experiment.run_dir)
    return experiment


def search(experiment: Experiment, said: Collection[str], console: Console, level: int) -> int:
    """Run a search, or the rest of it, to its report. Raises UserError.

    said: the keys that the user set. level: the lowest level of log messages that are printed; above NOTICE, progress
    and ranking are not printed.
    """
    try:
        with lasting_output(), shown_on(console, level):
            _search(experiment, said, Console(quiet=True) if level > NOTICE else console)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be closed
            say(console, f"\nstopped; nothing is lost: continue with `{program('resume')} {experiment.run_dir}`")
        return INTERRUPTED
    return 0


def check_needs(experiment: Experiment) -> None:
    """Raises UserError if something is missing: earlier searches, packages, a storage, locks."""
    find_prior(experiment)
    experiment.search.sampler.need("search.sampler")
    experiment.search.scheduler.need("search.scheduler")
    if experiment.storage:
        Store(experiment.storage).try_out()
    check_locks(Path(experiment.output_dir))


def _search(experiment: Experiment, said: Collection[str], console: Console) -> None:
    check_needs(experiment)
    base_url = experiment.tracking.base_url
    check_login(experiment.tracking, BASE_URL in said or is_said(experiment.run_dir, BASE_URL, base_url))
    # Torch and Ray take seconds to import, so errors that need neither are found first.
    problem = experiment.definition
    tell("preparing: reading and checking the data")
    preparation: Preparation = problem.part("preparation")
    storage = preparation.share(experiment) if experiment.storage else None
    preparation.prepare(experiment, console)
    problem.part("finals").check(experiment)
    from search.driver.search_run import SearchRun

    SearchRun(experiment, said, storage, console).run()
