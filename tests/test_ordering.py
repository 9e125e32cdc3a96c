"""`search.deterministic`: proposals and decisions are the same in whatever order workers are ready."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from reports import make_report
from test_work import experiment, score

from search.engine.ordering import Queue, WorkClock
from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import FINISHED, Work
from search.record.journal import Journal
from search.record.study import Study
from search.settings.experiment import Experiment
from search.translation.problem import work_of_report
from trainables.assignment import Assignment
from trainables.base.errors import UserError
from trainables.base.mistakes import validate
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.sharing.checkpoint_places import Checkpoints


def open_queue(folder: Path, search: Experiment, slots: int) -> Queue:
    folder.mkdir(exist_ok=True)
    study, journal, plan = (
        Study(folder / "study.db", "search", "maximize"),
        Journal(folder / "trials.jsonl"),
        SearchPlan(search),
    )
    clock = WorkClock(study, journal.lines, lambda trial: work_of_report(as_translation(plan.config(trial.params))))
    places, scheduler = Checkpoints(folder / "trials"), make_scheduler(search, plan.chance)
    work = Work(search, Records(study, journal, places), Rules(plan, scheduler, clock=clock))
    return Queue(work, slots)


def tell(work: Work, number: int, report: EpochReport) -> None:
    work.reported(number, report)


def play(folder: Path, search: Experiment, slots: int, seed: int) -> list[Any]:
    """A whole search with workers that are ready in a random order, crash, and lose their driver; what came of it."""
    rng = random.Random(seed)
    queue, trained = open_queue(folder, search, slots), dict[int, int]()
    busy: set[int] = set()  # workers that will report
    ending: set[int] = set()
    while True:
        work = queue.work
        if rng.random() < 0.05 * bool(seed):  # the driver dies; its workers, too
            work.journal.close()
            work.study.close()
            queue, busy, ending = open_queue(folder, search, slots), set(), set()
            continue
        action = rng.choice(["ask", "report", "take", "release", "crash"])
        if action == "ask":
            task = queue.next()
            if isinstance(task, Assignment):
                busy.add(task.number)
                trained[task.number] = max(trained.get(task.number, 0), task.progress)
            elif task == FINISHED and not busy | ending and work.done:
                break
        elif action == "report" and busy:
            number = rng.choice(sorted(busy))
            busy.discard(number)
            trial = work.study.trials[number]
            epoch = trained[number] = trial.progress + 1
            seconds = {"train_seconds": rng.random(), "eval_seconds": 0.0}
            report = make_report(epoch, score(trial, epoch), **seconds)
            queue.hold(number, partial(tell, work, number, report))
        elif action == "take" and (taken := queue.take()) is not None:
            (busy if work.goes_on(taken) else ending).add(taken)
        elif action == "release" and ending:
            number = rng.choice(sorted(ending))
            ending.discard(number)
            work.released(number, crashed=False)
            queue.released(number)
        elif action == "crash" and busy and seed and rng.random() < 0.05:
            number = rng.choice(sorted(busy))
            busy.discard(number)
            work.lost(number)
            queue.released(number)
    found = [(t.number, t.params, t.scores, t.outcome, t.attributes.clock) for t in queue.work.study.trials.values()]
    lines = [(line.trial, line.report.epoch, line.clock) for line in queue.work.journal.lines]
    queue.work.journal.close()
    queue.work.study.close()
    return [found, lines]


@pytest.mark.parametrize("slots", [2, pytest.param(5, marks=pytest.mark.rare)])
@pytest.mark.parametrize("scheduler", ["asha", "asha_promotion", "hyperband", "median", "gentle"])
def test_the_order_in_which_workers_are_ready_changes_nothing(scheduler: str, slots: int, tmp_path: Path) -> None:
    search = experiment(scheduler).with_values({"search.sampler": "default"})
    wanted = play(tmp_path / "0", search, slots, seed=0)
    assert play(tmp_path / "1", search, slots, seed=1) == wanted


class Killed(Exception):
    """The driver dies here."""


@pytest.mark.parametrize("kill", range(1, 12))
def test_a_report_that_only_the_journal_has_is_taken_again_at_its_time(
    kill: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the writes to journal and study, which `play` does not do."""
    search, calls, write = experiment("asha_promotion"), 0, Study.report

    def report(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == kill:
            raise Killed
        write(*arguments)

    wanted = play(tmp_path / "0", search, 2, seed=0)
    monkeypatch.setattr(Study, "report", report)
    with pytest.raises(Killed):
        play(tmp_path / "1", search, 2, seed=0)
    assert play(tmp_path / "1", search, 2, seed=0)[1] == wanted[1]


def test_time_would_change_it(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    slots, found = 2, []
    for seed in (1, 2, 3):
        rng, search = random.Random(seed), experiment("asha")
        work = open_queue(tmp_path / str(seed), search, slots).work
        while not work.done:
            while isinstance(work.next(slots), Assignment):
                pass
            number = rng.choice(sorted(work.live))
            trial = work.study.trials[number]
            epoch = trial.progress + 1
            if not work.reported(number, make_report(epoch, score(trial, epoch))):
                work.released(number, crashed=False)
        found.append([(trial.params, trial.outcome) for trial in work.study.trials.values()])
    assert found[0] != found[1] or found[1] != found[2]


def test_larger_models_and_longer_rounds_are_due_later() -> None:
    config = TranslationConfig()
    larger = work_of_report(config.with_values({"model.d_model": 1024}))
    assert larger > 2 * work_of_report(config)
    steps = [work_of_report(config.with_values({"training.report_steps": n})) for n in (10, 20)]
    assert steps[1] == 2 * steps[0]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"deterministic": True}, "set concurrency"),
        ({"deterministic": True, "concurrency": 2, "budget": {"wall_hours": 1}}, "budget.wall_hours depends on time"),
    ],
)
def test_what_depends_on_time_is_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(Experiment, {"search": search}, "file")
