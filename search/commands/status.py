"""`babeltune status RUN`: how far a search is, from another terminal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.commands.listing import ago
from search.record.journal import Totals, read_lines
from search.remote.fetching import fetch_run
from search.run_directory.finding import find_run
from search.run_directory.overview import State, latest_progress, overview
from search.settings.wording import count, duration, plain
from trainables.base.command_line import parse_arguments
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program

RECENT = timedelta(hours=1)


class StatusOf(Config):
    """Which run."""

    run: CliPositionalArg[str] = Field("", description="directory, name in output_dir, or address in a storage")
    output_dir: str = Field("runs", min_length=1, description="folder of the runs, for a run that is given by its name")


def main(arguments: list[str], console: Console) -> int:
    """Print how far the search is. Returns the exit status. Raises UserError."""
    options = parse_arguments(StatusOf, arguments, Program(program("status"), COMMANDS["status"].about))
    url = options.run if "://" in options.run else None
    folder = options.output_dir
    run_dir = fetch_run(url, Path(folder)) if url else find_run("status", options.run, output_dir=folder)
    run = overview(run_dir)
    if run.state == State.UNREADABLE:
        raise UserError(run.message)
    state = "fetched from its storage" if url else str(run.state)
    say(console, f"{run_dir}: {state}; {run.subject}")
    if run.trials:
        trials, spent = count(run.trials, "trial", "trials"), duration(run.seconds)
        say(console, f"{trials}, best {run.best}, {spent} of devices, latest report {ago(run.latest)}")
    if rate := _rate(run_dir):
        say(console, rate)
    if run.state != State.ENDED and (known := latest_progress(run_dir)):
        moment, line = known
        say(console, f"{ago(moment)}: {line}")
    if run.state == State.STOPPED and not url:
        say(console, f"`{program('resume')} {run_dir}` continues it")
    return 0


def _rate(run_dir: Path) -> str | None:
    """Epochs in the last hour, in words; None if there were none."""
    begin = datetime.now(UTC) - RECENT
    epochs = 0.0
    for name in ("trials.jsonl", "finals.jsonl"):
        lines = read_lines(run_dir / name)
        old = [line for line in lines if line.time is None or datetime.fromisoformat(line.time) < begin]
        epochs += Totals(lines).epochs - Totals(old).epochs
    return f"{plain(epochs)} epochs in the last hour" if epochs else None
