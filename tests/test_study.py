"""The study: what Optuna is told of trials, and what is kept up to date beside it."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from test_schedulers import DIRECTIONS, Direction

from search.study import Study, StudyTrial
from trainables.outcomes import Outcome

TOLD = {
    Outcome.RUNNING: (TrialState.RUNNING, None),
    Outcome.COMPLETED: (TrialState.COMPLETE, 7.0),
    Outcome.STOPPED: (TrialState.PRUNED, 7.0),
    Outcome.DIVERGED: (TrialState.PRUNED, 7.0),
    Outcome.INFEASIBLE: (TrialState.PRUNED, None),
    Outcome.FAILED: (TrialState.FAIL, None),
}


def reported(study: Study, *scores: float) -> StudyTrial:
    trial = study.add({}, {})
    for epoch, score in enumerate(scores, 1):
        study.report(trial, epoch, score)
    return trial


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_optuna_is_told_each_outcome_with_the_last_score_where_it_says_something(
    direction: Direction, tmp_path: Path
) -> None:
    file = tmp_path / "study.db"
    study = Study(file, "search", direction)
    for outcome in Outcome:
        trial = reported(study, 9.0, 7.0)
        if outcome != Outcome.RUNNING:
            study.finish(trial, outcome, "why")
            study.finish(trial, Outcome.COMPLETED, "once ended it stays so")
    study.finish(reported(study, 9.0), Outcome.COMPLETED, value=3.0)
    study.finish(reported(study, 9.0, math.inf), Outcome.COMPLETED)
    study.finish(reported(study), Outcome.STOPPED)
    stored = optuna.load_study(study_name="search", storage=f"sqlite:///{file}").get_trials(deepcopy=False)
    others = [(TrialState.COMPLETE, 3.0), (TrialState.COMPLETE, None), (TrialState.PRUNED, None)]
    assert TOLD.keys() == set(Outcome), "a new outcome says what Optuna is told of it"
    assert [(trial.state, trial.value) for trial in stored] == [*(TOLD[outcome] for outcome in Outcome), *others]
    again = Study(file, "search", direction)
    for here in (study, again):
        assert [(trial.state, trial.value) for trial in here.trials.values()] == [(t.state, t.value) for t in stored]
        assert [trial.outcome for trial in here.trials.values()][: len(Outcome)] == list(Outcome)
        assert {trial.attrs.get("message") for trial in list(here.trials.values())[1 : len(Outcome)]} == {"why"}
        assert sorted(here.running) == sorted(here.owing) == [0]
        assert sorted(trial.number for trial in here.over) == list(range(1, len(stored)))
        assert {epoch: len(trials) for epoch, trials in here.reached.items()} == {1: 8, 2: 7}
    for opened in (study, again):
        opened.close()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_who_came_further_is_ahead_and_then_who_is_better(direction: Direction) -> None:
    sign = 1 if direction == "maximize" else -1
    study = Study(None, "search", direction)
    merits = [(5.0, 1.0), (9.0,), (5.0, 3.0), (4.0, 2.0), (1.0, 2.0), (6.0,)]
    for row in merits:
        reported(study, *(sign * merit for merit in row))
    study.finish(study.trials[0], Outcome.COMPLETED)
    study.finish(study.trials[4], Outcome.STOPPED)
    reported(study)
    assert [trial.number for trial in study.best(9)] == [0, 2, 3, 4, 1, 5], "without scores it has no place"
    assert [trial.number for trial in study.best(2)] == [0, 2]
    assert study.merit(study.trials[1], 1) == 9.0 and study.merit(study.trials[1], 2) == -math.inf
    assert study.final(study.trials[0]) == 1.0 and study.final(study.trials[1]) == -math.inf


def test_bleu_near_zero_gives_way_to_the_loss_which_also_breaks_ties() -> None:
    study = Study(None, "search", "maximize")
    for bleu, loss in ((0.5, 2.0), (0.9, 3.0), (1.0, 9.0), (20.0, 2.0), (20.0, 1.5), (20.1, 9.0), (20.0, math.nan)):
        study.report(study.add({}, {}), 1, bleu, loss)
    worth = [study.merit(trial, 1) for trial in study.trials.values()]
    assert worth[:2] == [-2.0, -3.0] and worth[2] == pytest.approx(1.0, abs=1e-4)
    assert worth[5] > worth[6] == 20.0 > worth[4] > worth[3] > 19.999
    assert [trial.number for trial in study.best(7)] == [5, 6, 4, 3, 2, 0, 1]


def test_epochs_may_be_broken_where_reports_come_by_steps() -> None:
    trial = StudyTrial(0, 0, {}, scores={5: 1.0, 15: 2.0}, attrs={"epoch_steps": 10})
    assert (trial.epoch, trial.epochs, trial.trained) == (15, 1.5, 1.5)
    trial = StudyTrial(0, 0, {}, scores={1: 1.0, 3: 2.0}, attrs={"inherited": 1, "epoch-1": "passed"})
    assert (trial.epoch, trial.epochs, trial.trained) == (3, 3, 2)
    assert trial.passed(1) and not trial.passed(3)
