"""A new search, or what is left of one, to its report."""

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from search.commands import ABOUT
from search.commands.lines import say, split_level
from search.driver.beginning import forget_first_steps, has_begun
from search.run_directory.prior_sources import find_prior
from search.run_directory.trust import followed
from search.settings.experiment import Experiment, experiment_class
from search.settings.preparation import Preparation
from search.settings.problem import TRANSLATION
from trainables.base.command_line import parse_config, peek
from trainables.base.ending import INTERRUPTED, lasting_output
from trainables.base.errors import UserError
from trainables.base.installed import config_folder, program
from trainables.base.locks import check_locks
from trainables.base.log import NOTICE, shown_on
from trainables.sharing.object_store import Store
from trainables.sharing.storage import find_place


def main(arguments: list[str], console: Console) -> int:
    """Run the search that the options describe. Raises UserError."""
    arguments, level = split_level(arguments)
    experiment = new_experiment(arguments)
    return search(experiment, followed(experiment), console, level)


def new_experiment(arguments: list[str]) -> Experiment:
    """The experiment that the command line describes, with a name that is not taken. Raises UserError."""
    quickstart = config_folder() / "quickstart.yaml"
    chosen = experiment_class(peek(arguments, "problem") or TRANSLATION)
    experiment, file = parse_config(chosen, arguments, program(), ABOUT, quickstart)
    if experiment.name is None:
        name = f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        experiment = experiment.model_copy(update={"name": name})
    if has_begun(experiment.run_dir):
        raise UserError(
            f"--name: {experiment.run_dir} exists and is not empty; choose another name, or go on with it by "
            f"`{program('resume')} {experiment.run_dir}`"
        )
    if experiment.storage and find_place(experiment.run_url):
        raise UserError(
            f"--name: {experiment.run_url} exists; choose another name, or go on with it by "
            f"`{program('resume')} {experiment.run_url}`"
        )
    forget_first_steps(experiment.run_dir)
    return experiment


def search(experiment: Experiment, said: Collection[str], console: Console, level: int) -> int:
    """Run a search, or what is left of it, to its report. Raises UserError.

    said: keys that the user set. level: of what is printed; above NOTICE neither progress nor ranking is.
    """
    try:
        with lasting_output(), shown_on(console, level):
            _search(experiment, said, Console(quiet=True) if level > NOTICE else console)
    except KeyboardInterrupt:
        with suppress(OSError):  # a terminal that was closed
            say(console, f"\nstopped; nothing is lost: go on with `{program('resume')} {experiment.run_dir}`")
        return INTERRUPTED
    return 0


def _search(experiment: Experiment, said: Collection[str], console: Console) -> None:
    find_prior(experiment)
    experiment.search.sampler.need("search.sampler")
    experiment.search.scheduler.need("search.scheduler")
    if experiment.storage:
        Store(experiment.storage).try_out()
    check_locks(Path(experiment.output_dir))
    # Torch and Ray take seconds to import: mistakes that need neither are told before.
    problem = experiment.definition
    preparation: Preparation = problem.part("preparation")
    storage = preparation.share(experiment) if experiment.storage else None
    preparation.prepare(experiment, console)
    problem.part("finals").check(experiment)
    from search.driver.search_run import SearchRun

    SearchRun(experiment, said, storage, console).run()
