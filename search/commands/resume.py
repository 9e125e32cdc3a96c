"""`babeltune resume RUN`: continues a run, perhaps with changed keys."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from search.commands import COMMANDS
from search.commands.lines import Levels
from search.commands.listing import ago
from search.commands.search import search, with_keys
from search.record.journal import read_lines
from search.remote.fetching import fetch_run
from search.run_directory.changes import find_change
from search.run_directory.finding import EXPERIMENT, NEWEST, find_run, places_of
from search.run_directory.overview import State, overviews
from search.run_directory.trust import ALL, PUBLISHED, check_trust
from search.settings.experiment import Experiment
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment, stored_problem
from search.settings.wording import count
from trainables.base.arguments import peek
from trainables.base.command_line import override, parse_options, take
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.log import shown_on, warn
from trainables.base.mistakes import OPTION, blame


class OfRun(Levels):
    """The run, and whether to trust it."""

    run: CliPositionalArg[str] = Field("", description="directory, name in output_dir, or address in a storage")
    trust: bool = Field(False, description="use hosts and code that somebody else's run names; check them first")


Resuming = with_keys(OfRun, TRANSLATION)


class Resumed(NamedTuple):
    """A run, with the changes of the command line."""

    experiment: Experiment
    given: set[str]  # the keys that the command line sets
    level: int  # the lowest level of log messages that are printed


def main(arguments: list[str], console: Console) -> int:
    """Continue the run to its report. Returns the exit status. Raises UserError."""
    run = resumed_experiment(arguments, "resume")
    with blame(dict.fromkeys(run.given, OPTION)):
        return search(run.experiment, run.given, console, run.level)


def _options(arguments: list[str]) -> type[BaseModel]:
    """The class of options for the run in the arguments. Raises UserError for a run that is not trusted."""
    for argument in (argument for argument in arguments if not argument.startswith("-")):
        for folder in places_of(argument, peek(arguments, "output_dir")) if "\0" not in argument else ():
            if (folder / EXPERIMENT).is_file():
                return with_keys(OfRun, stored_problem(folder, trust="--trust" in arguments))
    return Resuming


def _without_fewer_trials(experiment: Experiment, stored: Experiment) -> Experiment:
    """The experiment; with the stored number of trials if the search has ended with more than the new one."""
    trials, run_dir = experiment.search.trials, stored.run_dir
    if trials is None or not (run_dir / "finalists.json").exists():  # before, fewer trials end the search sooner
        return experiment
    done = len({line.trial for line in read_lines(run_dir / "trials.jsonl")})
    if trials >= done or trials == stored.search.trials:
        return experiment
    warn(f"search.trials {trials}: the search has ended with {count(done, 'trial', 'trials')}, and all of them stay")
    return experiment.with_values({"search.trials": stored.search.trials})


def _which(output_dir: Path) -> str:
    """A message that lists the runs in a folder that were stopped, the latest first."""
    ask, known = f"resume: name the run, as in `{program('resume')} runs/NAME`", overviews(output_dir)
    stopped = [run for run in known if run.state == State.STOPPED]
    if not known:
        return ask
    if not stopped:
        there = ", ".join(f"{run.path}" for run in known[:NEWEST])
        return f"{ask}; none is stopped, and one that has ended is extended by changed keys: there is {there}"
    found = [
        f"{run.path}: {', '.join(filter(None, (count(run.trials, 'trial', 'trials'), run.best, ago(run.latest))))}"
        for run in stopped
    ]
    return "\n".join([f"{ask}; stopped are", *found])


def resumed_experiment(arguments: list[str], verb: str) -> Resumed:
    """The experiment of a run, with the changed keys of the command line. verb: the command, for messages.

    Raises UserError, also for somebody else's run that is not trusted.
    """
    about = Program(program(verb), COMMANDS[verb].about)
    own, options = take(OfRun, parse_options(_options(arguments), arguments, about))
    url = own.run if "://" in own.run else None
    output_dir = peek(arguments, "output_dir")
    if not own.run and verb == "resume":
        raise UserError(_which(Path(output_dir or "runs")))
    run_dir = fetch_run(url, Path("runs")) if url else find_run(verb, own.run, output_dir=output_dir)
    if output_dir and Path(output_dir).resolve() == run_dir.parent.resolve():
        options.pop("output_dir", None)  # it said where the run is
    stored = stored_experiment(run_dir, url, own.trust)
    experiment, given = override(stored, options, run_dir / "experiment.yaml")
    given |= {"storage"} if url else set()
    with shown_on(Console(), own.level):
        experiment = _without_fewer_trials(experiment, stored)
    if verb == "publish" and experiment != stored.model_copy(update={"tracking": experiment.tracking}):
        raise UserError("publish: does not change a search; it only takes the keys of tracking")
    if not own.trust:
        check_trust(stored, given, PUBLISHED if verb == "publish" else ALL)
    find_change(stored, experiment)
    return Resumed(experiment, given, own.level)
