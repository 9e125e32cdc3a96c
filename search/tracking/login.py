"""Whether W&B has a key for a search that is to be online: asked before it starts, not after a night."""

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

WITHOUT = 3  # the status of the process that finds no key


def check_login(tracking: TrackingConfig, any_key: bool) -> None:
    """Raises UserError where `tracking.wandb` is online and W&B finds no key.

    It is asked in a process of its own, as W&B takes seconds to import and changes the environment of who asks.

    Args:
        tracking: Where runs go.
        any_key: Whether `tracking.base_url` is the user's own word: then it gets a key that may be another's.
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
    """What to do without a key; part of a message."""
    server = f" for {base_url}" if base_url else ""
    login = f" --host {base_url}" if base_url else ""
    return f"no key is found{server}: set WANDB_API_KEY, or run `wandb login{login}`"


def main(arguments: list[str]) -> int:
    """WITHOUT if there is no key; what else may be wrong is told by the process that sends."""
    from search.tracking.wandb_runs import find_key

    return 0 if find_key(Destination(**json.loads(arguments[0])), lambda text: None) else WITHOUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
