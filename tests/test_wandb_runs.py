"""What is logged of a run, and how it ends: W&B's own part is a list here."""

from types import SimpleNamespace
from typing import Any

import pytest

from search.tracking.tracked import TrackedRun
from search.tracking.wandb_runs import end_run, log_reports


class Started:
    """What W&B was told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.ended: list[int] = []
        self.kept: dict[str, Any] = {}
        self.summary = SimpleNamespace(update=self.kept.update)

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append((step, row))

    def finish(self, exit_code: int) -> None:
        self.ended.append(exit_code)


def tracked(*steps: int, state: str = "completed", message: str = "") -> TrackedRun:
    return TrackedRun("a-run", "trial", {}, state, message, {step: {"epoch": step / 10} for step in steps})


def test_each_report_is_logged_once_and_in_order_whoever_goes_on() -> None:
    """What a resume finds in the feed need not be in order."""
    started = Started()
    assert log_reports(started, tracked(), after=-1) == -1
    assert log_reports(started, tracked(20, 10, 0), after=-1) == 20
    assert log_reports(started, tracked(20, 10, 0), after=20) == 20, "nothing new"
    assert log_reports(started, tracked(40, 20, 30, 10, 0), after=20) == 40
    assert started.rows == [(step, {"epoch": step / 10}) for step in (0, 10, 20, 30, 40)]


@pytest.mark.parametrize(
    ("state", "message", "code"),
    [
        ("completed", "", 0),
        ("stopped", "", 0),
        ("diverged", "valid_loss became nan", 0),
        ("parked", "", 0),
        ("failed", "no memory", 1),
        ("interrupted", "", 1),
    ],
)
def test_a_run_ends_with_its_last_report_and_state(state: str, message: str, code: int) -> None:
    started = Started()
    end_run(started, tracked(20, 30, 10, state=state, message=message))
    told = {"message": message} if message else {}
    assert (started.kept, started.ended) == ({"epoch": 3.0, "state": state, **told}, [code])
    empty = Started()
    end_run(empty, tracked(state=state))
    assert (empty.kept, empty.ended) == ({"state": state}, [code])
