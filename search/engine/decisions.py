"""Writes decisions to the study: the only place that does, for the search, replays and tests.

`StudyTrial.passed` and `StudyTrial.parked` read them.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from search.record.attributes import Attributes
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.base import Decision, Heir
from trainables.base.outcomes import Outcome

if TYPE_CHECKING:  # it imports Optuna
    from search.record.study_writer import Distributions


def carry_out(
    decision: Decision, study: Study, trial: StudyTrial, rungs: tuple[int, ...], clock: float | None = None
) -> None:
    """Write the decision on a trial that has just reported.

    Nothing is written if it continues between rungs or is parked, as both follow from the rungs. clock: see `let_pass`.
    """
    if decision == "stop":
        study.finish(trial, Outcome.STOPPED)
    elif decision == "park":
        study.rest(trial)
    elif trial.progress in rungs:
        let_pass(study, trial, clock)


def let_pass(study: Study, trial: StudyTrial, clock: float | None = None) -> None:
    """Write that the trial passes its present rung, at once or by promotion.

    clock: the time in `search.deterministic`.
    """
    known = trial.attributes
    clock = known.clock if clock is None else clock
    # Written before the trial continues, so that later reports at this rung can't change the decision after a crash.
    study.set_attributes(trial, replace(known, clock=clock, passed=known.passed | {trial.progress}))
    study.go_on(trial)


def add_heir(study: Study, heir: Heir, distributions: "Distributions", clock: float | None = None) -> StudyTrial:
    """Add a trial that continues from its parent, past the parent's rung, and end the trial that it replaces."""
    parent = heir.parent
    attributes = Attributes(
        parent=parent.number,
        replaces=heir.replaces.number,
        inherited=parent.progress,
        passed=frozenset({parent.progress}),
        clock=clock,
    )
    trial = study.add(heir.params, distributions, scores=parent.scores, attributes=attributes)
    study.finish(heir.replaces, Outcome.STOPPED)
    return trial
