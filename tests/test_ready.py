"""Many slots: proposals that are ready before a slot is free, and the time that slots wait."""

from pathlib import Path
from typing import Any

import pytest
from reports import make_report
from test_work import open_work

from search.engine import ready as ready_module
from search.engine.proposals import SearchPlan
from search.engine.ready import LEAST_TRIALS, IdleSlots, ReadyPlan
from search.engine.rules import Rules
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Proposal
from search.settings.experiment import Experiment
from trainables.assignment import Assignment
from trainables.base.outcomes import Outcome

SPACE: dict[str, Any] = {
    "model.dropout": {"min": 0.0, "max": 0.5},
    "training.label_smoothing": {"min": 0.0, "max": 0.3},
    "model.encoder_layers": {"values": [1, 2, 3, 4]},
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted(SearchPlan):
    """A plan whose proposals take a second each."""

    def __init__(self, experiment: Experiment, clock: Clock):
        super().__init__(experiment)
        self.clock, self.asked = clock, 0

    def propose(self, study: Study) -> Proposal | None:
        self.asked, self.clock.now = self.asked + 1, self.clock.now + 1
        return super().propose(study)


def begun(trials: int = 100) -> tuple[Counted, ReadyPlan, Study, Clock]:
    """A search with 32 slots, after the trials before which nothing is made ahead; a score follows from dropout."""
    clock, study = Clock(), Study(None, "search", "maximize")
    plan = Counted(Experiment.model_validate({"space": SPACE, "search": {"trials": trials}}), clock)
    ready = ReadyPlan(plan, 32, clock)
    assert not ready.lacks(study), "the first ones are quick"
    for _ in range(LEAST_TRIALS):
        end(study, start(ready, study))
    plan.asked = 0
    return plan, ready, study, clock


def start(ready: ReadyPlan, study: Study) -> StudyTrial:
    proposal = ready.propose(study)
    assert proposal is not None
    return study.add(proposal.params, ready.distributions, proposal.memory)


def end(study: Study, trial: StudyTrial) -> None:
    study.report(trial, 1, 30.0 - abs(float(str(trial.params["model.dropout"])) - 0.2))
    study.finish(trial, Outcome.COMPLETED)


def prepare(ready: ReadyPlan, study: Study, clock: Clock) -> int:
    """Make all that is wanted, however long it takes. Returns how many that were."""
    made = 0
    for _ in range(10):
        clock.now += 1000
        if ready.lacks(study):
            ready.prepare(study)
            made += 1
    return made


def test_what_is_ready_is_what_would_have_been_proposed_one_after_the_other() -> None:
    plan, ready, study, clock = begun()
    _, other, again, _ = begun()
    one_by_one = [start(other, again).params for _ in range(3)]
    assert prepare(ready, study, clock) == 2 == plan.asked and study.ahead == []
    assert [start(ready, study).params for _ in range(2)] == one_by_one[:2] and plan.asked == 2, "none was waited for"
    assert start(ready, study).params == one_by_one[2] and plan.asked == 3, "more than that are made when they are due"


def test_after_a_result_it_is_made_again_but_serves_until_then() -> None:
    plan, ready, study, clock = begun()
    running = start(ready, study)
    prepare(ready, study, clock)
    (first, second), plan.asked = [proposal.params for _, proposal in ready._ready], 0
    assert not ready.lacks(study)
    end(study, running)
    assert ready.lacks(study) and ready.propose(study) == ready._ready[0][1] and plan.asked == 0
    clock.now += 1000
    ready.prepare(study)
    assert len(ready._ready) == 2 and ready._ready[1][1].params in (first, second), "the older one stays meanwhile"
    assert prepare(ready, study, clock) == 1 and not ready.lacks(study)
    assert ready._ready[0][1].params != ready._ready[1][1].params


def test_the_driver_spends_a_tenth_of_its_time_on_them_at_most() -> None:
    _plan, ready, study, clock = begun()
    clock.now += 1000
    ready.prepare(study)  # takes a second
    assert not ready.lacks(study)
    clock.now += 9.9
    assert not ready.lacks(study)
    clock.now += 0.2
    assert ready.lacks(study)


def test_nothing_is_made_beyond_the_last_trial() -> None:
    _plan, ready, study, clock = begun(LEAST_TRIALS + 1)
    prepare(ready, study, clock)
    assert len(ready._ready) == 1
    start(ready, study)
    assert ready.propose(study) is None


def test_slots_are_idle_from_a_training_to_the_next() -> None:
    clock = Clock()
    idle = IdleSlots(5.0, clock)
    idle.taken()  # a slot that had no trial before
    for now in (10.0, 12.0):
        clock.now = now
        idle.freed()
    clock.now = 13.0
    idle.taken()
    assert idle.seconds == 5 + 3
    clock.now = 20.0
    idle.taken()
    assert idle.seconds == 5 + 3 + 8
    idle.freed()
    clock.now = 99.0
    assert idle.seconds == 16, "what stays free at the end waits for nothing"


def test_the_study_keeps_how_long_slots_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    for number, expected in ((0, 7.0), (1, 14.0)):
        work = open_work(tmp_path, "none")
        work.idle = IdleSlots(work.study.idle_seconds, clock)
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == number
        for epoch in range(1, 5):
            work.reported(task.number, make_report(epoch, 10.0))
        work.released(task.number, crashed=False)
        clock.now += 7
        task = work.next(1)
        assert isinstance(task, Assignment)
        work.reported(task.number, make_report(1, 10.0))
        assert work.study.idle_seconds == expected
        work.released(task.number, crashed=True)
        work.study.close()
        assert Study(tmp_path / "study.db", "search", "maximize", "old").idle_seconds == expected


def test_the_driver_makes_them_while_all_slots_are_taken_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_module, "LEAST_TRIALS", 1)
    work = open_work(tmp_path, "none")
    plan = work.rules.plan = ReadyPlan(work.rules.plan, 2)
    first = work.next(2)
    work.prepare(2)
    assert plan._ready == [], "a slot is free, which comes first"
    second = work.next(2)
    assert isinstance(first, Assignment) and isinstance(second, Assignment)
    monkeypatch.setattr(Rules, "reason_to_end", lambda *_: "the budget is used up")
    work.prepare(2)
    assert plan._ready == []
    monkeypatch.undo()
    monkeypatch.setattr(ready_module, "LEAST_TRIALS", 1)
    work.prepare(2)
    ((_, proposal),) = plan._ready
    work.ended(first.number, Outcome.FAILED, "")
    work.released(first.number, crashed=False)
    third = work.next(2)
    assert isinstance(third, Assignment) and work.study.trials[third.number].params == proposal.params
    work.study.close()
