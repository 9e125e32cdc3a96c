"""Checks before an online search starts that W&B has a key."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

from search.settings.tracking import TrackingConfig
from search.tracking.mirror import STRAY
from search.tracking.tracked import Destination
from trainables.base.errors import UserError
from trainables.base.temporary import temporary_folder

WITHOUT = 3  # the exit status of a process that finds no key


def check_login(tracking: TrackingConfig, any_key: bool) -> None:
    """Raises UserError if `tracking.wandb` is online and W&B finds no key.

    The check runs in a process of its own, as W&B is slow to import and changes the environment.

    Args:
        tracking: Where runs go.
        any_key: Whether the user set `tracking.base_url`; then it may get a key for another server.
    """
    if tracking.wandb != "online":
        return
    with temporary_folder() as scratch:
        names = ("project", "entity", "tags", "notes", "base_url")
        known = {name: getattr(tracking, name) for name in names}
        destination = Destination(mode="online", scratch=str(scratch), patience=1.0, any_key=any_key, **known)
        environment = {name: value for name, value in os.environ.items() if name not in STRAY}
        command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(destination))]
        done = subprocess.run(command, env=environment | {"WANDB_ERROR_REPORTING": "false"}, capture_output=True)
    if done.returncode == WITHOUT:
        raise UserError(f"tracking.wandb: online, but {missing_key(tracking.base_url)}; or let it be auto or offline")


def missing_key(base_url: str | None) -> str:
    """The part of a message that says how to give a key."""
    server = f" for {base_url}" if base_url else ""
    login = f" --host {base_url}" if base_url else ""
    return f"no key is found{server}: set WANDB_API_KEY, or run `wandb login{login}`"


def main(arguments: list[str]) -> int:
    """WITHOUT if there is no key; other errors are left to the process that sends."""
    from search.tracking.wandb_runs import find_key

    return 0 if find_key(Destination(**json.loads(arguments[0])), lambda text: None) else WITHOUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
