"""`babeltune fetch URL`: fetches a run from its storage into runs/."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from model.config import Config
from search.commands import COMMANDS
from search.commands.lines import say
from search.remote.fetching import FETCHED, fetch_run
from search.run_directory.trust import remember_storage
from trainables.base.command_line import parse_arguments
from trainables.base.errors import UserError
from trainables.base.help_pages import Program
from trainables.base.installed import program


class Fetching(Config):
    """The run to fetch."""

    url: CliPositionalArg[str] = Field("", description="address of the run, such as s3://bucket/runs/NAME")


def main(arguments: list[str], console: Console) -> int:
    """Fetch a run and print its directory. Raises UserError."""
    options = parse_arguments(Fetching, arguments, Program(program("fetch"), COMMANDS["fetch"].about))
    if "://" not in options.url:
        raise UserError(f"fetch: name the run in its storage, as in `{program('fetch')} s3://bucket/runs/NAME`")
    run_dir = fetch_run(options.url, Path("runs"))
    if not (run_dir / FETCHED).exists():
        raise UserError(f"fetch: {run_dir} exists, and a search has worked in it; move it away, then fetch again")
    remember_storage(run_dir, options.url)
    say(console, str(run_dir))
    return 0
