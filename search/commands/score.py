"""`babeltune score RUN --data.test NAME`: scores the finalists of a search on a further test, after its ranking."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.run_directory.finding import find_run
from search.run_directory.trust import check_trust
from search.settings.stored import stored_experiment
from trainables.base.command_line import Helping, parse_options, take
from trainables.base.config import set_paths
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program
from trainables.base.locks import DriverLock
from trainables.base.mistakes import validate
from trainables.base.translator_config import TranslatorConfig

CODE = ("metrics", "finals.neural_metric")  # keys of a run that this command follows


class ScoredRun(Config):
    """The run whose finalists are scored."""

    run: CliPositionalArg[str] = Field("", description="directory of a search that has ended, or name in output_dir")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    trust: bool = Field(False, description="use metrics that somebody else's run names; check them first")


class Scoring(ScoredRun):
    """The run, and where the test is."""

    data: DataConfig = DataConfig()


def main(arguments: list[str], console: Console) -> int:
    """Score the finalists, print a table for each test, and keep it in the run. Returns the exit status."""
    about = Program(program("score"), COMMANDS["score"].about)
    own, options = take(ScoredRun, parse_options(Scoring, arguments, about, Helping))
    given = options.get("data", {})
    if not given:
        raise UserError("score: name the test by --data.test NAME, with --data.path DIR if it is in another place")
    run_dir = find_run("score", own.run, output_dir=own.output_dir)
    stored = stored_experiment(run_dir, trust=own.trust)
    if not issubclass(stored.definition.config, TranslatorConfig):
        raise UserError(f"score: {run_dir} is a search for {stored.definition.title}, which has no test by name")
    if not own.trust:
        check_trust(stored, (), CODE)
    known = stored.model_dump()["data"]
    if "path" in given:  # what was taken out of the run's training text is not there
        known["split"] = {}
    data = validate(Scoring, {"data": set_paths(known, given)}, "", {"data": given}).data
    lock = DriverLock(run_dir)  # torch takes seconds to import, so errors that do not need it are found first
    try:
        from search.translation.later_tests import later_table, score_later

        for test in score_later(stored, data):
            console.print(later_table(test))
            say(console, f"{test.pairs:,} pairs; {test.file} has all scores, and the ranking is as it was")
    finally:
        lock.release()
    return 0
