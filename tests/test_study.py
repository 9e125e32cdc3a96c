"""The study: what Optuna is told of trials, and what is kept up to date beside it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from reports import line_of
from test_schedulers import DIRECTIONS, Direction

from search.record.attributes import Attributes
from search.record.optuna_internals import storage_id
from search.record.study import Study
from search.record.study_file import open_study
from search.record.trial import StudyTrial
from search.space.space import Params, SearchSpace
from search.translation.problem import TRANSLATION
from trainables.base.outcomes import Outcome
from trainables.base.sealing import SEAL, Damaged

TOLD = {
    Outcome.RUNNING: (TrialState.RUNNING, None),
    Outcome.COMPLETED: (TrialState.COMPLETE, 7.0),
    Outcome.STOPPED: (TrialState.PRUNED, 7.0),
    Outcome.DIVERGED: (TrialState.PRUNED, 7.0),
    Outcome.INFEASIBLE: (TrialState.PRUNED, None),
    Outcome.FAILED: (TrialState.FAIL, None),
}


BLEU = TRANSLATION.metrics["valid_bleu"]


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
        assert {trial.attributes.message for trial in list(here.trials.values())[1 : len(Outcome)]} == {"why"}
        assert sorted(here.running) == sorted(here.active) == [0]
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
    study.recall([], BLEU)
    for bleu, loss in ((0.5, 2.0), (0.9, 3.0), (1.0, 9.0), (20.0, 2.0), (20.0, 1.5), (20.1, 9.0), (20.0, math.nan)):
        study.report(study.add({}, {}), 1, bleu, loss)
    worth = [study.merit(trial, 1) for trial in study.trials.values()]
    assert worth[:2] == [-2.0, -3.0] and worth[2] == pytest.approx(1.0, abs=1e-4)
    assert worth[5] > worth[6] == 20.0 > worth[4] > worth[3] > 19.999
    assert [trial.number for trial in study.best(7)] == [5, 6, 4, 3, 2, 0, 1]


def test_epochs_may_be_broken_where_reports_come_by_steps() -> None:
    trial = StudyTrial(0, 0, {}, scores={5: 1.0, 15: 2.0}, attributes=Attributes(epoch_steps=10))
    assert (trial.progress, trial.epochs, trial.trained) == (15, 1.5, 1.5)
    trial = StudyTrial(0, 0, {}, scores={1: 1.0, 3: 2.0}, attributes=Attributes(inherited=1, passed=frozenset({1})))
    assert (trial.progress, trial.epochs, trial.trained) == (3, 3, 2)
    assert trial.passed(1) and not trial.passed(3)


SPACE = {
    "wide": FloatDistribution(0.0, 1.0),
    "deep": IntDistribution(1, 9),
    "kind": CategoricalDistribution(["a", None, 1.5]),
}
PARAMS: Params = {"wide": 1, "deep": 3, "kind": None}  # a float that is written without a point


@pytest.mark.parametrize("memory", [None, {"noted": [1, 2.5, {"a": None}]}])
def test_a_trial_is_sealed_with_what_it_was_made_with(memory: dict[str, Any] | None, tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "search", "maximize")
    study.add(PARAMS, SPACE)
    made = Attributes(parent=0, replaces=0, inherited=2, passed=frozenset({2}))
    trial = study.add(PARAMS, SPACE, memory, scores={2: 1.0}, attributes=made)
    study.set_attributes(trial, replace(trial.attributes, crashes=1))
    study.report(trial, 3, 2.0)
    study.finish(trial, Outcome.COMPLETED, "why")
    study.close()
    again = Study(tmp_path / "study.db", "search", "maximize")
    for opened in (study, again):
        assert all(trial.attributes.seal and trial.is_sealed for trial in opened.trials.values())
        assert all(
            json.dumps(trial.params) == '{"wide": 1.0, "deep": 3, "kind": null}' for trial in opened.trials.values()
        )
    changes: list[dict[str, Any]] = [{"parent": 1}, {"replaces": 1}, {"inherited": 1}, {"memory": {"noted": []}}]
    for change in changes:
        assert not replace(again.trials[1], attributes=replace(again.trials[1].attributes, **change)).is_sealed, change
    others: list[Params] = [{**PARAMS, "wide": 0.5}, {**PARAMS, "deep": 4}, {**PARAMS, "kind": "a"}, {"deep": 3}]
    for params in others:
        assert not replace(again.trials[1], params=params).is_sealed, params
    unsealed = replace(again.trials[1].attributes, seal=None)
    assert replace(again.trials[1], params={}, attributes=unsealed).is_sealed, "one of version 0.1"
    again.close()


def test_a_study_is_opened_as_it_was_left(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    study = Study(file, "search", "minimize")
    assert (study.wall_seconds, study.ended) == (0.0, None)
    for scores in ((3.0,), (2.0, 1.0), ()):
        reported(study, *scores)
    study.report(study.add(PARAMS, SPACE, scores={1: 4.0}, attributes=Attributes(parent=0, inherited=1)), 2, 0.5)
    study.finish(study.trials[1], Outcome.STOPPED, "why")
    study.rest(study.trials[0])
    assert sorted(study.active) == [2, 3] and sorted(study.running) == [0, 2, 3]
    study.go_on(study.trials[0])
    study.set_wall_seconds(12.5)
    study.set_ended("enough")
    again = Study(file, "search", "minimize")
    for opened in (study, again):
        assert [trial.number for trial in opened.best(9)] == [3, 1, 0]
        assert (opened.wall_seconds, opened.ended, opened.maximize) == (12.5, "enough", False)
        assert opened.trials[1].attributes.message == "why" and opened.trials[1].value == 1.0
        assert sorted(opened.active) == sorted(opened.running) == [0, 2, 3]
        assert [trial.number for trial in opened.over] == [1] and [trial.number for trial in opened.heirs] == [3]
        assert {e: [t.number for t in trials] for e, trials in opened.reached.items()} == {1: [0, 1, 3], 2: [1, 3]}
        assert opened.known == {SearchSpace.key({}), SearchSpace.key(PARAMS)}
    again.set_ended(None)
    again.close()
    study.close()
    assert Study(file, "search", "minimize").ended is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("outcome", "lost", r"study.db: trial 0 has an unknown outcome 'lost'; restore"),
        ("wall_seconds", {"seconds": 9.0, SEAL: "0"}, r"study.db: is damaged: its checksum is another"),
        ("wall_seconds", {}, r"study.db: is damaged: it lacks seconds"),
        ("wall_seconds", 9.0, None),  # of version 0.1
    ],
)
def test_a_study_that_no_driver_wrote_is_refused(key: str, value: Any, message: str | None, tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "search", "maximize")
    trial = study.add({}, {})
    if key == "outcome":
        study.writer.set_attribute(trial, key, value)
    else:
        study.writer.set_study_attribute(key, value)
    study.close()
    if message is None:
        assert Study(tmp_path / "study.db", "search", "maximize").wall_seconds == value
    else:
        with pytest.raises(Damaged, match=message):
            Study(tmp_path / "study.db", "search", "maximize")


def test_losses_are_recalled_where_there_are_scores_and_an_heir_has_its_parents() -> None:
    study = Study(None, "search", "maximize")
    by_epochs, by_steps = (
        reported(study, 20.0, 20.0),
        study.add({}, {}, scores={5: 20.0}, attributes=Attributes(epoch_steps=10)),
    )
    heir = study.add({}, {}, scores={1: 20.0}, attributes=Attributes(parent=0, inherited=1))
    study.report(heir, 2, 20.0)
    unknown = reported(study, 20.0, 20.0)
    assert [trial.number for trial in study.best(9)] == [1, 0, 2, 3]
    study.recall(
        [
            line_of(0, 1, valid_nll_per_char=3.0),
            line_of(0, 2, valid_nll_per_char=2.0),
            line_of(0, 3, valid_nll_per_char=9.0),  # a driver died before the study had it
            line_of(1, 0.5, step=5, valid_nll_per_char=4.0),
            line_of(2, 2, valid_nll_per_char=1.0),
            line_of(3, 2, valid_nll_per_char=math.nan),
            line_of(9, 1, valid_nll_per_char=9.0),
        ],
        BLEU,
    )
    assert (by_epochs.losses, by_steps.losses, heir.losses) == ({1: 3.0, 2: 2.0}, {5: 4.0}, {1: 3.0, 2: 1.0})
    assert math.isnan(unknown.losses[2])
    assert [trial.number for trial in study.best(9)] == [1, 3, 2, 0], "by the losses now; 3 has none to subtract"


def test_a_new_trial_and_its_reports_have_the_losses_beside_their_scores() -> None:
    study = Study(None, "search", "maximize")
    parent, scores = study.add({}, {}), {1: 20.0}
    study.report(parent, 1, 20.0, 3.0)
    trial = study.add({}, {}, {"noted": 1}, scores, Attributes(parent=0, inherited=1))
    study.report(trial, 2, 20.0, 2.5)
    study.report(trial, 3, 20.0)
    assert (trial.scores, trial.losses) == ({1: 20.0, 2: 20.0, 3: 20.0}, {1: 3.0, 2: 2.5})
    assert (scores, parent.losses) == ({1: 20.0}, {1: 3.0}), "its own, not the parent's"
    assert trial.attributes.memory == {"noted": 1} and study.add({}, {}).attributes.memory == {}
    for epoch, expected in ((1, 20.0 - 3e-6), (2, 20.0 - 2.5e-6), (3, 20.0)):
        assert study.merit(trial, epoch) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(AssertionError, match="reported 3 after 3"):
        study.report(trial, 3, 1.0)


# -- what is used of Optuna though it is not public


def test_the_storage_knows_a_trial_by_the_id_that_it_carries(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "search", "maximize")
    other = Study(tmp_path / "study.db", "finals", "maximize")
    for each in (other, study, study):
        each.add({}, {})
    storage, _ = open_study(tmp_path / "study.db", "search", "maximize", "old")
    study_id = storage.get_study_id_from_name("search")
    for trial in storage.get_all_trials(study_id):
        assert storage_id(trial) == storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
