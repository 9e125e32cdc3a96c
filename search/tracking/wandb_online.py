"""W&B runs with a key: live runs, their sweep, and at the end the report."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import wandb

from search.tracking.tracked import RUNNING, Destination, ReportContent, TrackedRun, TrackedSearch
from search.tracking.wandb_runs import Group, Kept, end_run, log_reports
from trainables.base.extras import missing_extra
from trainables.base.outcomes import Outcome

LACKS_REPORTS = f"the report {missing_extra('wandb-reports', 'wandb-workspaces')}"
CHECKS = 4  # the server may need seconds to show what it received


@dataclass
class OpenRun:
    """A W&B run that is being written."""

    started: Any  # wandb's object
    logged: int  # the last logged step


class OnlineRuns:
    """Keeps the W&B runs of a search up to date. What the server has is not sent again."""

    def __init__(self, run_dir: Path, destination: Destination, search: TrackedSearch, say: Callable[[str], None]):
        """Raises what W&B raises, such as AuthenticationError."""
        self.destination, self.search, self.say = destination, search, say
        self.kept = Kept(run_dir)
        self.api = wandb.Api(timeout=max(1, int(destination.patience)))
        self.entity = str(destination.entity or self.api.default_entity)
        base = wandb.util.app_url(self.api.settings["base_url"])
        self.place = f"{base}/{self.entity}/{destination.project}"
        self.group = Group(search.name, "online", destination, Path(destination.scratch), self.entity)
        self.open: dict[str, OpenRun] = {}
        self.sent: dict[str, tuple[int, str]] = self._received()
        self.reported = False
        self.reports = find_spec("wandb_workspaces") is not None
        if not self.reports:
            self.say(f"W&B: {LACKS_REPORTS}; runs and sweep are sent without it")
        self.sweep = self._join_sweep()

    # -- runs

    def update(self) -> None:
        """Send new reports and states."""
        for key in self._lacking():
            self._send(key, self.search.runs[key])
        if self.sweep and self.search.searched:
            self._set_sweep("finished")

    def _send(self, key: str, run: TrackedRun) -> None:
        if key not in self.open:
            sweep = self.sweep if run.job_type == "trial" else None
            started = self.group.start(self.kept.run_id(key), run, sweep)
            self.open[key] = OpenRun(started, logged=started.starting_step - 1)  # of a continued run
        opened = self.open[key]
        opened.logged = log_reports(opened.started, run, opened.logged)
        if run.state != RUNNING:
            end_run(self.open.pop(key).started, run)
        self.sent[key] = _standing(run)

    def missing(self) -> str:
        """A text on how much W&B lacks."""
        report = " and the report" if self.search.report and self.reports and not self.reported else ""
        return f"{len(self._lacking())} of {len(self.search.runs)} runs{report}"

    def _lacking(self) -> list[str]:
        return [key for key, run in self.search.runs.items() if self.sent.get(key) != _standing(run)]

    def _received(self) -> dict[str, tuple[int, str]]:
        """The last step and the state of each run on the server."""
        self.api.flush()  # type: ignore[no-untyped-call]  # otherwise it answers from its cache
        path, filters = f"{self.entity}/{self.destination.project}", {"group": self.search.name}
        try:
            runs = list(self.api.runs(path, filters=filters, per_page=500, lazy=False))
        except ValueError:  # no such project yet
            return {}
        return {
            key: (int(run.summary.get(self.search.unit, -1)), str(run.summary.get("state")))
            for run in runs
            if (key := self.kept.key(run.id))
        }

    def complete(self) -> None:
        """Make the report, if the search is done, and check that the server has everything. Raises RuntimeError."""
        if self.search.report:
            self._report(self.search.report)
        for check in range(CHECKS):
            time.sleep(check)
            self.sent = self._received()
            if not (lacking := self._lacking()):
                runs = len(self.search.runs)
                self.say(f"W&B: {f'all {runs} runs are' if runs > 1 else 'the run is'} at {self.place}")
                return
        raise RuntimeError(f"the server does not show {', '.join(lacking[:5])} as sent")

    # -- the sweep

    def _join_sweep(self) -> str | None:
        """The sweep of the search, created from its space; None without a space."""
        if not self.search.parameters:
            return None
        name = f"sweep-{self.search.study}"
        sweep = self.kept.get(self.place, name)
        if sweep is None:
            config = {
                "name": self.search.name,
                "method": "custom",
                "controller": {"type": "local"},  # Ray and Optuna decide
                "metric": {"name": self.search.metric, "goal": self.search.goal},
                "parameters": self.search.parameters,
            }
            sweep = wandb.sweep(config, entity=self.entity, project=self.destination.project)
            self.kept.set(self.place, name, sweep)
            self.kept.set(self.place, f"{name}-state", "running")
        self.say(f"W&B sweep: {self.place}/sweeps/{sweep}")
        self.sweep = sweep
        if not self.search.searched:
            self._set_sweep("running")
        return sweep

    def _set_sweep(self, state: str) -> None:
        """Set the state of the sweep. Raises RuntimeError if W&B refuses."""
        name = f"sweep-{self.search.study}-state"
        if self.kept.get(self.place, name) == state:
            return
        path = f"{self.entity}/{self.destination.project}/{self.sweep}"
        option = {"finished": "--stop", "running": "--resume"}[state]
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "sweep", option, path],
            capture_output=True,
            text=True,
            timeout=self.destination.patience + 5,
            cwd=self.destination.scratch,
        )
        if done.returncode:
            raise RuntimeError(f"the sweep can't be set to {state}: {(done.stderr or done.stdout).strip()}")
        self.kept.set(self.place, name, state)

    # -- the report

    def _report(self, content: ReportContent) -> None:
        """Send the HTML report as media of a run of its own, and create or update the W&B report."""
        html = Path(content.html)
        digest = sha256(html.read_bytes()).hexdigest()
        run = TrackedRun(f"{self.search.name}-report", "report", {}, Outcome.COMPLETED)
        if self.kept.get(self.place, "html") != digest:
            started = self.group.start(self.kept.run_id("report"), run)
            started.log({"report": wandb.Html(str(html), inject=False)})
            end_run(started, run)
            self.kept.set(self.place, "html", digest)
        if not self.reports:
            return
        from search.tracking.wandb_report import save_report

        known = self.kept.get(self.place, "report")
        report, url = save_report(self.search, content, self.entity, self.destination.project, known)
        self.kept.set(self.place, "report", report)
        self.kept.set(self.place, "report-address", url)
        self.reported = True
        self.say(f"W&B report: {url}")


def _standing(run: TrackedRun) -> tuple[int, str]:
    return max(run.reports, default=-1), run.state
