"""`babeltune list`: the runs in a folder."""

from datetime import UTC, datetime

from pydantic import Field
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.run_directory.overview import Overview, State, overviews
from search.settings.wording import duration
from trainables.base.command_line import parse_arguments
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.installed import program

DAY = 24 * 3600


class Listing(Config):
    """Which runs."""

    output_dir: str = Field("runs", min_length=1, description="folder of the runs")


def main(arguments: list[str], console: Console) -> int:
    """Print a table of the runs. Returns the exit status. Raises UserError."""
    options = parse_arguments(Listing, arguments, Program(program("list"), COMMANDS["list"].about))
    folder = named_path("--output_dir", options.output_dir)
    runs = overviews(folder)
    if not runs:
        say(console, f"{folder} has no runs; `{program()}` begins one")
        return 0
    console.print(_table(runs))
    for run in runs:
        if run.state == State.UNREADABLE:
            say(console, f"{run.path.name}: {run.message}")
    return 0


def _table(runs: list[Overview]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("run", "corpus", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("trials", "best", "devices", "latest"):
        table.add_column(heading, justify="right", no_wrap=heading != "best")
    for run in runs:
        cost = duration(run.seconds) if run.seconds else ""
        trials = str(run.trials) if run.trials else ""
        table.add_row(run.path.name, run.subject, str(run.state), trials, run.best, cost, ago(run.latest))
    return table


def ago(moment: datetime | None) -> str:
    """A moment in words: "5 min ago", or the day. Empty for None."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{duration(max(0.0, seconds))} ago" if seconds < DAY else f"{moment.astimezone():%Y-%m-%d}"
