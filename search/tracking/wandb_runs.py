"""W&B runs, one for each tracked run of a search."""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import wandb
from wandb.sdk.lib.wbauth import HostUrl, read_netrc_auth
from wandb.sdk.wandb_setup import singleton

from search.tracking.tracked import KNOWN, Destination, TrackedRun
from trainables.base.sealing import Damaged, read_sealed, write_sealed

FAILED = ("failed", "interrupted")  # states that W&B shows as failed


KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")  # W&B sends them to any server that it is given


def find_key(destination: Destination, say: Callable[[str], None]) -> bool:
    """Whether W&B finds a key: WANDB_API_KEY, its settings, or .netrc. From now on it uses the destination's server.

    A server that the user is not logged in to gets its key from .netrc only. It gets another key if the user set this
    server; the user is told so.
    """
    server = destination.base_url
    if server and not HostUrl(server).is_same_url(singleton().settings.base_url):
        own, own_key = singleton().settings.base_url, _has_key()
        if not destination.any_key:
            for name in KEYS:
                os.environ.pop(name, None)
            os.chdir(destination.scratch)  # the user's settings, in either place, have the key for the user's server
            os.environ["WANDB_CONFIG_DIR"] = destination.scratch
        os.environ["WANDB_BASE_URL"] = server
        wandb.teardown()
        if read_netrc_auth(host=server) is None and own_key:
            if destination.any_key:
                say(f"W&B: your key goes to {server} (tracking.base_url), not to {own}")
            else:
                say(
                    f"W&B: your key for {own} is not sent to {server}, which is set in this run; to send it there add "
                    f"--tracking.base_url {server}, and `wandb login --host {server}` stores a key for that server"
                )
    return bool(wandb.login(prompt=False, verify=False))


def _has_key() -> bool:
    """Whether there is a key that W&B would send to any server that it is given."""
    return any(map(os.environ.get, KEYS)) or bool(singleton().settings.api_key)


class Kept:
    """RUN/wandb.json: the run directory's id in W&B, and the addresses there, by project.

    A damaged file is refused, as with another id runs would be sent twice, or into another search.
    """

    def __init__(self, run_dir: Path):
        """Raises Damaged."""
        self.file = run_dir / KNOWN
        try:
            self._values: dict[str, Any] = read_sealed(self.file) if self.file.exists() else {"id": ""}
            if not isinstance(self._values.get("id"), str):
                raise Damaged(f"{self.file}: is damaged: its id is missing; restore it from a copy")
        except Damaged as error:
            raise Damaged(f"{error}, or remove it: then W&B gets this search as new runs") from None
        if not self._values["id"]:
            self._values["id"] = uuid.uuid4().hex[:8]
            self._write()

    def run_id(self, key: str) -> str:
        """The W&B id of a trial; it stays the same if the run directory is moved."""
        return f"{self._values['id']}-{key}"

    def key(self, run_id: str) -> str | None:
        """The key of a W&B id; None if it belongs to another run directory."""
        own = f"{self._values['id']}-"
        return run_id.removeprefix(own) if run_id.startswith(own) else None

    def get(self, place: str, name: str) -> str | None:
        """The value of a name; None if there is none."""
        value = self._values.get(place, {}).get(name)
        return None if value is None else str(value)

    def set(self, place: str, name: str, value: str) -> None:
        """Store a value under a name."""
        self._values.setdefault(place, {})[name] = value
        self._write()

    def _write(self) -> None:
        write_sealed(self.file, self._values)


@dataclass(frozen=True)
class Group:
    """What the W&B runs of one search have in common."""

    name: str
    mode: Literal["online", "offline"]
    destination: Destination
    folder: Path  # their files are in folder/wandb
    entity: str | None

    def start(self, run_id: str, run: TrackedRun, sweep: str | None = None) -> Any:
        """Start or continue a W&B run. Raises what W&B raises."""
        started = wandb.init(
            project=self.destination.project,
            entity=self.entity,
            group=self.name,
            job_type=run.job_type,
            name=run.name,
            id=run_id,
            config=run.config,
            tags=self.destination.tags or None,
            notes=self.destination.notes,
            dir=str(self.folder),
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(
                sweep_id=sweep,
                console="off",
                silent=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,  # they would be those of the driver; workers report GPU figures
                init_timeout=self.destination.patience,
                finish_timeout=self.destination.patience,
                finish_timeout_raises=True,
            ),
        )
        started.define_metric("epoch")
        started.define_metric("*", step_metric="epoch")
        return started


def log_reports(started: Any, run: TrackedRun, after: int) -> int:
    """Log the reports after step `after`. Returns the last logged step."""
    for step in sorted(run.reports):
        if step > after:
            started.log(run.reports[step], step=step)
            after = step
    return after


def end_run(started: Any, run: TrackedRun) -> None:
    """Write a run's state, and finish it. Raises TimeoutError if W&B does not take it in time."""
    last = run.reports[max(run.reports)] if run.reports else {}  # a continued run may have lost its summary
    started.summary.update({**last, "state": str(run.state), **({"message": run.message} if run.message else {})})
    started.finish(exit_code=1 if run.state in FAILED else 0)
