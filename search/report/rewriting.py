"""Writes report.html of a run again, from the files of the run alone: the test data are not opened."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from search.finals.board import read_leaderboard
from search.finals.protocol import Finals
from search.report.live import LOCK, found_so_far
from search.report.page import Findings, write_report
from search.run_directory.overview import State, state_of
from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.installed import program
from trainables.base.locks import locked
from trainables.base.sealing import read_sealed, write_sealed

KEPT = "report.json"  # what a report has that follows from no other file of the run
FIELDS = ("data", "sections", "test_opened", "spending", "planned")
ABOUT_RANKING = "about_ranking"  # the notes of the leaderboard that are about the ranking, not about the search


def keep_findings(run_dir: Path, found: Findings, about_ranking: list[str]) -> None:
    """Keep what `rewrite_report` needs besides the other files of the run."""
    write_sealed(run_dir / KEPT, {**{name: getattr(found, name) for name in FIELDS}, ABOUT_RANKING: about_ranking})


def kept_findings(run_dir: Path) -> dict[str, Any]:
    """What `keep_findings` kept; empty for a run of an earlier version, which kept nothing. Raises Damaged."""
    return read_sealed(run_dir / KEPT) if (run_dir / KEPT).exists() else {}


def rewrite_report(experiment: Experiment) -> Path:
    """Write the report again; before the ranking, what the search has found so far.

    Returns:
        The file.

    Raises:
        UserError: If the search runs, has no report of a trial yet, or is of an earlier version.
    """
    run_dir = experiment.run_dir
    if state_of(run_dir) == State.RUNNING:
        raise UserError(f"{run_dir}: the search runs, and renews report.html itself; `{program('status')}` says more")
    found = _ranked(experiment) if (run_dir / "leaderboard.json").exists() else found_so_far(run_dir, None)
    if found is None:
        raise UserError(f"{run_dir}: no trial has reported yet, so there is nothing to show; resume the search")
    file = run_dir / "report.html"
    make_folder((run_dir / LOCK).parent)  # a copy may lack it
    with locked(run_dir / LOCK):
        write_report(file, found)
    return file


def _ranked(experiment: Experiment) -> Findings:
    run_dir = experiment.run_dir
    if not (kept := kept_findings(run_dir)):
        again = f"`{program('resume')} {run_dir}` writes the report, and opens the test data for it"
        raise UserError(f"{run_dir}: holds no {KEPT}, as earlier versions wrote none; {again}")
    ways: Finals = experiment.definition.part("finals")
    so_far = found_so_far(run_dir, None)
    assert so_far is not None, "a ranking has trials with reports"
    board, by = read_leaderboard(run_dir / "leaderboard.json"), ways.metrics(experiment)[0]
    return replace(so_far, leaderboard=board, by=by, **{name: kept[name] for name in FIELDS})
