"""A new search, or what is left of one, to its report."""

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from pydantic import Field
from rich.console import Console

from search.commands import ABOUT, COMMANDS
from search.commands.installation import show_version
from search.commands.lines import Levels, say
from search.driver.beginning import forget_first_steps, has_begun
from search.finals.neural_metric import load_metric
from search.run_directory.prior_sources import find_prior
from search.run_directory.trust import BASE_URL, followed, is_said
from search.settings.experiment import Experiment
from search.tracking.login import check_login
from trainables.base.command_line import parse_options, read_config, take
from trainables.base.ending import INTERRUPTED, lasting_output
from trainables.base.errors import UserError
from trainables.base.installed import config_folder, program
from trainables.base.locks import check_locks
from trainables.base.log import NOTICE, shown_on
from trainables.base.mistakes import blame
from trainables.data.corpus_cache import cached_corpus
from trainables.sharing.object_store import Store
from trainables.sharing.storage import find_place


class OfSearch(Levels):
    """What `babeltune` takes beside the keys of a search."""

    version: bool = Field(False, description="print versions, for a report of a fault, and exit")


class Searching(Experiment, OfSearch):
    """What to search, and how much is printed."""


def main(arguments: list[str], console: Console) -> int:
    """Run the search that the options describe. Raises UserError."""
    commands = {name: command.about for name, command in COMMANDS.items()}
    own, options = take(OfSearch, parse_options(Searching, arguments, program(), ABOUT, commands))
    if own.version:
        show_version(console)
        return 0
    experiment, file, places = read_config(Experiment, options, config_folder() / "quickstart.yaml")
    with blame(places):
        experiment = _named(experiment, file)
        return search(experiment, followed(experiment), console, own.level)


def _named(experiment: Experiment, file: Path) -> Experiment:
    """With a name that is not taken. Raises UserError."""
    if experiment.name is None:
        name = f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        experiment = experiment.model_copy(update={"name": name})
    if has_begun(experiment.run_dir):
        raise UserError(
            f"name: {experiment.run_dir} exists and is not empty; choose another name, or go on with it by "
            f"`{program('resume')} {experiment.run_dir}`"
        )
    if experiment.storage and find_place(experiment.run_url):
        raise UserError(
            f"name: {experiment.run_url} exists; choose another name, or go on with it by "
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
    check_login(
        experiment.tracking, BASE_URL in said or is_said(experiment.run_dir, BASE_URL, experiment.tracking.base_url)
    )
    if experiment.storage:
        Store(experiment.storage).try_out()
    if experiment.finals.neural_metric:
        load_metric(experiment.finals.neural_metric)
    check_locks(Path(experiment.output_dir))
    cached_corpus(experiment.data, experiment.cache)
    # Torch and Ray take seconds to import: mistakes that need neither, such as a wrong data.path, are told before.
    from search.driver.preparation import prepare_corpus, prepare_storage

    storage = prepare_storage(experiment)
    prepare_corpus(experiment, console)
    from search.driver.search_run import SearchRun

    SearchRun(experiment, said, storage, console).run()
