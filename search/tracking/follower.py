"""The process that mirrors a feed to W&B: python -m search.tracking.follower RUN DESTINATION.

It reads until its standard input is closed, sends the rest to W&B, and ends. On its standard output it sends lines of
JSON to the driver: say, missing (what W&B lacks so far), complete, or failed (why it gives up).
"""

import json
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

from search.tracking.login import missing_key
from search.tracking.tracked import FEED, INTERRUPTED, RUNNING, Destination, FeedReader
from search.tracking.wandb_offline import OfflineRuns
from search.tracking.wandb_online import OnlineRuns
from search.tracking.wandb_runs import find_key
from trainables.base.locks import locked

POLL_SECONDS = 1.0

Tell = Callable[[str, str], None]


def follow(run_dir: Path, destination: Destination, tell: Tell) -> None:
    """Mirror the feed until standard input is closed. Raises whatever W&B raises."""
    reader = FeedReader(run_dir / FEED)
    reader.read()

    def say(text: str) -> None:
        tell("say", text)

    online = destination.mode != "offline" and find_key(destination, say)
    if destination.mode == "online" and not online:
        raise RuntimeError(missing_key(destination.base_url))
    make = OnlineRuns if online else OfflineRuns
    runs = make(run_dir, destination, reader.search, say)
    over = False
    try:
        while not over:
            runs.update()
            tell("missing", runs.missing())
            over = bool(select.select([sys.stdin], [], [], POLL_SECONDS)[0])
            reader.read()
        for run in reader.search.runs.values():
            if run.state == RUNNING:
                run.state = INTERRUPTED
        runs.update()
        runs.complete()
    finally:
        tell("missing", runs.missing())
    tell("complete", "")


def main(arguments: list[str]) -> None:
    """Keep W&B equal to the feed of a run until the feed ends."""
    os.nice(19)  # training has priority
    run_dir, destination = Path(arguments[0]), Destination(**json.loads(arguments[1]))
    driver = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)  # W&B prints to standard output

    def tell(kind: str, text: str) -> None:
        print(json.dumps({kind: text}), file=driver, flush=True)

    status = 1
    try:
        with locked(run_dir / "locks" / "tracking"):  # waits for the end of a killed driver's follower
            follow(run_dir, destination, tell)
            status = 0
    except BrokenPipeError:  # the driver was killed; the next one starts a new follower
        pass
    except Exception as error:  # W&B may raise anything; the driver gets one line
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{error.filename}: {error.strerror}"
        tell("failed", " ".join(text.split())[:300] or type(error).__name__)
    finally:
        os._exit(status)  # without W&B's exit handlers, which may wait for the server for ever


if __name__ == "__main__":
    main(sys.argv[1:])
