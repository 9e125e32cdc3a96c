"""The trials of a run, read from its study, which is not changed."""

from search.finals.board import read_leaderboard
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.base.errors import UserError


def trials_of(experiment: Experiment) -> dict[int, StudyTrial]:
    """The trials of the search by their numbers. Raises Damaged."""
    study = Study(experiment.run_dir / "study.db", "search", experiment.search.direction, "read")
    return dict(study.trials)


def find_trial(experiment: Experiment, number: int | None) -> StudyTrial:
    """A trial by its number; None: the one in `best/`, or before the ranking the best so far.

    Raises UserError if there is none.
    """
    trials = trials_of(experiment)
    if not trials:
        raise UserError(f"{experiment.run_dir}: the search has no trials yet")
    if number is None:
        number = _best_number(experiment, trials)
    if number not in trials:
        raise UserError(f"{experiment.run_dir}: has no trial {number}; its trials are 0 to {max(trials)}")
    return trials[number]


def _best_number(experiment: Experiment, trials: dict[int, StudyTrial]) -> int:
    board = experiment.run_dir / "leaderboard.json"
    if board.exists():
        return read_leaderboard(board).chosen
    worth = experiment.search.compared_by.worth
    scored = [trial for trial in trials.values() if trial.scores] or list(trials.values())
    return max(scored, key=lambda trial: worth(trial.scores[trial.progress]) if trial.scores else 0.0).number
