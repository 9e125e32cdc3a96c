"""Bring the run at a URL into runs/."""

from pathlib import Path

from rich.console import Console

from search.commands.lines import say
from search.remote.fetching import FETCHED, fetch_run
from search.run_directory.trust import remember_storage
from trainables.base.errors import UserError
from trainables.base.installed import program


def main(arguments: list[str], console: Console) -> int:
    """Bring a run here and print its directory. Raises UserError."""
    if len(arguments) != 1 or "://" not in arguments[0]:
        raise UserError(f"fetch: name the run in its storage, as in `{program('fetch')} s3://bucket/runs/NAME`")
    run_dir = fetch_run(arguments[0], Path("runs"))
    if not (run_dir / FETCHED).exists():
        raise UserError(f"fetch: {run_dir} is there already, and a search worked in it; move it away, then fetch again")
    remember_storage(run_dir, arguments[0])
    say(console, str(run_dir))
    return 0
