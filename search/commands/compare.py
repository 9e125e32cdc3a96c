"""`babeltune compare RUN RUN …`: the best models of runs, by paired tests, and how their configurations differ."""

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.run_directory.finding import find_run
from search.settings.stored import stored_experiment
from trainables.base.command_line import parse_arguments
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program


class Comparing(Config):
    """Which runs."""

    runs: CliPositionalArg[list[str]] = Field([], description="two or more searches that have ended, on the same test")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for runs that are given by names")
    trust: bool = Field(False, description="use metrics that somebody else's run names; check them first")


def main(arguments: list[str], console: Console) -> int:
    """Print the comparison. Returns the exit status. Raises UserError."""
    options = parse_arguments(Comparing, arguments, Program(program("compare"), COMMANDS["compare"].about))
    if len(set(options.runs)) < 2:
        raise UserError(f"compare: name two or more runs, as in `{program('compare')} runs/A runs/B`")
    folders = [find_run("compare", run, output_dir=options.output_dir) for run in options.runs]
    experiments = [stored_experiment(folder, trust=options.trust) for folder in folders]
    from search.translation.comparing import comparable, compare_runs, differences_table, scores_table, sentences

    compared = compare_runs(comparable(experiments, options.trust))
    console.print(scores_table(compared))
    for sentence in sentences(compared):
        say(console, sentence)
    if compared.differing:
        console.print(differences_table(compared))
    return 0
