"""`babeltune report RUN`: writes the report of a run again, without opening its test data."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.run_directory.finding import find_run
from search.settings.stored import stored_experiment
from trainables.base.command_line import parse_arguments
from trainables.base.help_pages import Program
from trainables.base.installed import program


class Reporting(Config):
    """Which run."""

    run: CliPositionalArg[str] = Field("", description="directory of a search, or its name in output_dir")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")
    trust: bool = Field(False, description="import the problem of somebody else's run; check it first")


def main(arguments: list[str], console: Console) -> int:
    """Write report.html again, and print its path. Returns the exit status. Raises UserError."""
    options = parse_arguments(Reporting, arguments, Program(program("report"), COMMANDS["report"].about))
    run_dir = find_run("report", options.run, output_dir=options.output_dir)
    experiment = stored_experiment(run_dir, trust=options.trust)
    from search.report.rewriting import rewrite_report

    say(console, str(rewrite_report(experiment)))
    return 0
