"""The search without Ray: simulated workers, killed anywhere."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from ray.tune.schedulers import TrialScheduler
from reports import line_of, make_report

from search.cluster.tune_plugins import Guard, WorkScheduler, WorkSearcher
from search.engine.checkpoint_cleaner import CheckpointCleaner
from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import FINISHED, WAIT, Work
from search.finals.choosing import read_finalists
from search.record.budget import Budget, Spent
from search.record.journal import Journal, JournalLine
from search.record.study import Study
from search.record.trial import StudyTrial
from search.run_directory.checking import check_study
from search.schedulers import SCHEDULERS, Decision
from search.schedulers.population import Population
from search.schedulers.promotion import Promotion
from search.settings.experiment import Experiment
from trainables import translation, worker
from trainables.assignment import Assignment, WorkerSetup, to_tune
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.errors import TooLarge, UserError
from trainables.base.installed import own_versions
from trainables.base.locks import DriverLock
from trainables.base.outcomes import Outcome
from trainables.base.sealing import Damaged
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.training.checkpoint import load_state, save_checkpoint

TRIALS = 6


def experiment(scheduler: str = "asha") -> Experiment:
    space: dict[str, Any] = {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}}
    if scheduler == "pbt":
        del space["model.d_model"]
    sampler = "random" if scheduler == "pbt" else "default"
    wanted = {"rungs": [1, 2], "reduction_factor": 2} if scheduler not in ("median", "pbt") else {}
    settings = {key: value for key, value in wanted.items() if key in SCHEDULERS[scheduler].model_fields}
    stopping = {"kind": scheduler, **settings}
    search: dict[str, Any] = {"trials": TRIALS, "scheduler": stopping, "sampler": sampler}
    return Experiment.model_validate({"space": space, "search": search, "training": {"epochs": 4}})


BUDGETED = experiment().with_values({"search.budget": {"epochs": 36}})
EPOCH_STEPS = {64: 14, 128: 10, 256: 7}
GOALS = experiment("asha_promotion").with_values(
    {"search.goals": ["valid_bleu", "-parameters", "-train_seconds"], "search.trials": 10}
)
BY_STEPS = experiment().with_values({"training.report_steps": 5, "search.scheduler.rungs": [10, 20]})
BY_TOKENS = experiment().with_values({"training.report_tokens": 5, "search.scheduler.rungs": [10, 20]})


PROBLEM = "search.translation.problem:TRANSLATION"
SETUP = WorkerSetup(Path("c"), Path("lock"), 0.0, 2, None, own_versions(), PROBLEM, Path())


class Killed(BaseException):
    """The driver dies here."""


def score(trial: StudyTrial, epoch: int) -> float:
    return (
        float(str(trial.params.get("model.d_model", 64))) / 16 - 20 * float(str(trial.params["model.dropout"])) + epoch
    )


def budget_of(experiment: Experiment, slots: int = 1, before: Spent | None = None) -> Budget:
    config, epochs, finals = experiment.search.budget, experiment.training.epochs, experiment.finals
    unit, spent = experiment.training.unit, before or Spent()
    return Budget(config, epochs, experiment.rungs, unit, experiment.num_finals, finals.top, slots, spent)


def open_work(folder: Path, search: str | Experiment = "asha", slots: int = 1) -> Work:
    """search: an experiment, or the scheduler of the usual one."""
    search = experiment(search) if isinstance(search, str) else search
    folder.mkdir(exist_ok=True)
    study, journal = Study(folder / "study.db", "search", "maximize"), Journal(folder / "trials.jsonl")
    plan, endings = SearchPlan(search), [budget_of(search, slots)]
    rules = Rules(plan, make_scheduler(search, plan.chance), endings)
    return Work(search, Records(study, journal, Checkpoints(folder / "trials")), rules)


def sqlite(study: Study) -> sqlalchemy.Engine:
    assert isinstance(study.writer.storage, RDBStorage)
    return study.writer.storage.engine


def simulate(work: Work, checkpoints: dict[int, int], slots: int = 1) -> None:
    """Workers take turns, an epoch each; a checkpoint (the last epoch trained) comes before its report."""
    running: list[int] = []
    while True:
        task = work.next(slots)
        if isinstance(task, Assignment):
            assert task.number not in running
            running.append(task.number)
            if task.number in checkpoints:  # a resumed trial reports its newest epoch once more
                advance(work, running, task.number, checkpoints[task.number])
            continue
        if task == FINISHED and not running:
            return
        assert task == WAIT or running
        number = running.pop(0)
        running.append(number)
        checkpoints[number] = checkpoints.get(number, 0) + 1
        advance(work, running, number, checkpoints[number])


def advance(work: Work, running: list[int], number: int, epoch: int) -> None:
    """Report an epoch; or a round of steps or tokens, of which `epoch` is then the number."""
    trial = work.study.trials[number]
    report = make_report(epoch, score(trial, epoch), train_seconds=2.0, eval_seconds=1.0)
    if work.unit != "epoch":
        per_epoch = EPOCH_STEPS[int(str(trial.params["model.d_model"]))]  # as if it were a batch size
        progress = min(epoch * work.report_every, 4 * per_epoch)
        report = replace(report, epoch=progress / per_epoch, step=progress)
        if work.unit == "token":
            report = replace(report, token=progress)
    if isinstance(work.rules.scheduler, Population):  # whose heirs go on from it
        save_checkpoint(work.checkpoints.folder / str(number), "epoch", epoch, {}, asdict(report))
    if not work.reported(number, report):
        running.remove(number)
        work.released(number, crashed=False)


def content(folder: Path) -> list[Any]:
    study = Study(folder / "study.db", "search", "maximize")
    return [(t.number, t.params, t.state, t.scores, t.outcome) for t in study.trials.values()]


def assert_sound(folder: Path, scheduler: str) -> None:
    """The asked number of trials, ended at a rung or at the end, no epoch missing or repeated."""
    trials = list(Study(folder / "study.db", "search", "maximize").trials.values())
    rungs = experiment(scheduler).rungs
    assert len(trials) == TRIALS + (len(rungs) if scheduler == "pbt" else 0)  # an heir a generation
    assert "completed" in {trial.outcome for trial in trials} <= {"completed", "stopped"}
    for trial in trials:
        assert trial.progress == 4 if trial.outcome == "completed" else trial.progress in rungs
        assert list(trial.scores) == list(range(1, trial.progress + 1))
        for epoch, value in trial.scores.items():
            inherited = epoch <= trial.inherited
            assert value == (trials[trial.attributes.parent or 0].scores[epoch] if inherited else score(trial, epoch))
        assert trial.state == (TrialState.COMPLETE if trial.outcome == "completed" else TrialState.PRUNED)
    lines = [(line.trial, line.report.epoch) for line in Journal(folder / "trials.jsonl").lines]
    assert sorted(lines) == [(t.number, epoch) for t in trials for epoch in t.scores if epoch > t.inherited]


def test_a_new_driver_decides_while_those_who_wait_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before, though the trial that lacks its decision has a lower number than one that waits."""
    work = open_work(tmp_path, "asha_promotion")
    kinds = experiment().space.to_optuna()
    trials = [work.study.add({"model.d_model": 64, "model.dropout": 0.1 * n}, kinds) for n in range(2)]
    for trial in trials:
        work.study.report(trial, 1, float(trial.number))
    work.study.close()
    seen: list[set[int]] = []
    decide = Promotion.decide

    def spy(self: Promotion, study: Study, trial: StudyTrial) -> Decision:
        seen.append(study.active.keys() - {trial.number})
        return decide(self, study, trial)

    monkeypatch.setattr(Promotion, "decide", spy)
    open_work(tmp_path, "asha_promotion")
    assert seen and seen[0] == set()


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("scheduler", ["asha", "asha_promotion", "hyperband", "median", "gentle", "pbt"])
def test_every_trial_is_completed_or_stopped_at_a_rung(scheduler: str, slots: int, tmp_path: Path) -> None:
    simulate(open_work(tmp_path, scheduler), {}, slots)
    assert_sound(tmp_path, scheduler)


def test_a_population_ends_alike_with_any_number_of_workers(tmp_path: Path) -> None:
    ends = []
    for slots in (1, 3):
        (tmp_path / str(slots)).mkdir()
        simulate(open_work(tmp_path / str(slots), "pbt"), {}, slots)
        ends.append(content(tmp_path / str(slots)))
    assert ends[0] == ends[1]


TRANSACTIONS = (
    "create_new_trial",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_state_values",
    "set_study_user_attr",
)
STRIDE = 13 if os.environ.get("FAULTS_ALL") else 31  # every so many-th write is tried; 1 tries all, in some minutes


KILLED = [
    ("asha", 1),
    ("asha", 2),
    ("asha_promotion", 1),
    ("asha_promotion", 2),
    ("pbt", 1),
    ("pbt", 2),
    (BUDGETED, 1),
    (GOALS, 1),
    (BY_STEPS, 1),
    (BY_TOKENS, 1),
]


@pytest.mark.parametrize(("search", "slots"), KILLED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_before_or_after_any_write_it_ends_as_if_undisturbed(
    when: str, search: str | Experiment, slots: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one slot in every detail; with two, where the order of reports changes, still soundly."""
    count = [0, -1]  # writes so far, the one to die at

    def deadly(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            moment = count[0]
            if moment == count[1] and when == "before":
                raise Killed
            result = write(*arguments, **options)
            if moment == count[1]:
                raise Killed
            return result

        return call

    for name in TRANSACTIONS:
        monkeypatch.setattr(RDBStorage, name, deadly(getattr(RDBStorage, name)))
    monkeypatch.setattr(Journal, "append", deadly(Journal.append))
    calm = tmp_path / "calm"
    simulate(open_work(calm, search), {}, slots)
    expected, writes_in_all = content(calm), count[0]
    assert writes_in_all > 50
    for moment in range(1, writes_in_all + 1, STRIDE * slots):
        folder, checkpoints = tmp_path / str(moment), dict[int, int]()
        count[:] = [0, moment]
        with pytest.raises(Killed):
            simulate(open_work(folder, search), checkpoints, slots)
        count[:] = [0, -1]
        simulate(open_work(folder, search), checkpoints, slots)
        if isinstance(search, str):
            assert_sound(folder, search)
        if slots == 1:
            assert content(folder) == expected, f"killed {when} write {moment}"
            journals = [
                sorted(repr(replace(line, time=None)) for line in Journal(place / "trials.jsonl").lines)
                for place in (folder, calm)
            ]
            assert journals[0] == journals[1]


@pytest.mark.parametrize("asked", [BY_STEPS, BY_TOKENS])
def test_within_epochs_a_trial_ends_with_its_training_or_at_a_rung(asked: Experiment, tmp_path: Path) -> None:
    work = open_work(tmp_path, asked)
    simulate(work, {})
    trials = list(work.study.trials.values())
    assert {trial.outcome for trial in trials} == {"completed", "stopped"}
    for trial in trials:
        epoch_steps = EPOCH_STEPS[int(str(trial.params["model.d_model"]))]
        assert trial.progress == 4 * epoch_steps if trial.outcome == "completed" else trial.progress in (10, 20)
        assert trial.epochs == trial.progress / epoch_steps
        assert list(trial.scores) == [*range(5, trial.progress, 5), trial.progress]
    completed = [trial for trial in trials if trial.outcome == "completed"]
    ranked = sorted(trials, key=work.study.standing)
    assert ranked[: len(completed)] == sorted(completed, key=lambda trial: -trial.scores[trial.progress])


def test_a_parked_trial_keeps_its_checkpoint_until_it_is_promoted_or_all_is_done(tmp_path: Path) -> None:
    work = open_work(tmp_path, "asha_promotion")
    cleaner = CheckpointCleaner(work.checkpoints, keep_completed=True)
    work.listeners.append(cleaner)
    kept: list[bool] = []
    for number in (0, 1):
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == number
        task.checkpoints.mkdir(parents=True)
        goes_on = work.reported(number, make_report(1, 10.0 - 1000 * number))
        assert not goes_on and work.study.trials[number].running  # 1 of 1; then behind 0
        work.released(number, crashed=number == 1)  # a process that dies after its report changes nothing
        kept.append(task.checkpoints.exists())
    assert kept == [True, True] and not work.study.trials[1].attributes.crashes
    promoted = work.next(1)
    assert isinstance(promoted, Assignment) and promoted.number == 0, "a promotion comes before a new trial"
    assert work.study.trials[0].passed(1)
    assert work.reported(0, make_report(1, 10.0)), "the checkpoint's epoch is known"
    simulate(open_work(tmp_path, "asha_promotion"), {0: 1, 1: 1})
    assert Study(tmp_path / "study.db", "search", "maximize").trials[1].outcome == "stopped"


class Writer:
    """A listener that makes each trial's folder of checkpoints, and notes for whom there are any when a trial ends."""

    def __init__(self, folder: Path):
        self.folder, self.kept = folder, list[set[int]]()

    def trial_started(self, trial: StudyTrial) -> None:
        (self.folder / str(trial.number)).mkdir(parents=True, exist_ok=True)

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None: ...
    def trial_parked(self, trial: StudyTrial) -> None: ...

    def trial_ended(self, trial: StudyTrial) -> None:
        self.kept.append({int(path.name) for path in self.folder.iterdir()})


@pytest.mark.parametrize(("scheduler", "most"), [("asha", 2), ("asha_promotion", TRIALS)])
def test_checkpoints_are_kept_of_trials_that_run_or_wait_alone(scheduler: str, most: int, tmp_path: Path) -> None:
    work = open_work(tmp_path, scheduler)
    cleaner, writer = CheckpointCleaner(work.checkpoints, keep_completed=False), Writer(work.checkpoints.folder)
    work.listeners += [cleaner, writer]
    simulate(work, {}, slots=2)
    assert len(writer.kept) == TRIALS and writer.kept[-1] == set()
    assert max(map(len, writer.kept)) < most
    writer.trial_started(work.study.over[0])  # what a driver had not removed yet when it was killed
    cleaner.sweep(work.study.over)
    assert not list(work.checkpoints.folder.iterdir())


def test_a_search_by_promotion_trains_at_least_one_trial_to_the_end(tmp_path: Path) -> None:
    work = open_work(tmp_path, "asha_promotion")
    work.rules.plan = SearchPlan(Experiment.model_validate({**experiment().model_dump(), "search": {"trials": 1}}))
    simulate(work, {})
    assert work.study.trials[0].outcome == "completed"


def test_a_score_that_is_no_number_ends_the_trial_as_diverged(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    assert isinstance(work.next(1), Assignment)
    assert not work.reported(0, make_report(1, float("nan")))
    trial = work.study.trials[0]
    assert (trial.outcome, trial.scores) == ("diverged", {})
    assert trial.attributes.message == "valid_bleu became nan in epoch 1"


def test_a_crashed_trial_is_retried_from_where_it_was_then_failed(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    for _ in range(3):
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == 0
        work.released(0, crashed=True)
    assert work.study.trials[0].outcome == "failed"
    assert "died 3 times" in work.study.trials[0].attributes.message
    simulate(work, {})
    assert len(work.study.trials) == 6  # the search went on


def test_a_lost_machine_is_no_crash_of_its_trial(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    for _ in range(10):
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == 0
        work.lost(0)
        work.released(0, crashed=True)  # as Tune tells it next
    assert work.study.trials[0].running and work.study.trials[0].attributes.machines_lost == 10
    simulate(work, {})
    assert work.study.trials[0].progress >= 1 and len(work.study.trials) == 6


def test_a_diverged_trial_ends_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    task = work.next(2)
    assert isinstance(task, Assignment)
    work.ended(task.number, Outcome.DIVERGED, "the loss became nan")
    work.released(task.number, crashed=False)
    simulate(work, {}, slots=2)
    diverged = work.study.trials[0]
    assert (diverged.outcome, diverged.attributes.message, diverged.state) == (
        "diverged",
        "the loss became nan",
        TrialState.PRUNED,
    )
    assert len(work.study.trials) == 6


def test_no_more_trials_run_than_there_are_slots(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    assert [isinstance(work.next(2), Assignment) for _ in range(3)] == [True, True, False]


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    journal = Journal(file)
    journal.append(line_of(0, 1))
    journal.close()
    with file.open("a") as torn:
        torn.write('{"trial": 0, "ep')
    journal = Journal(file)
    journal.append(line_of(0, 1))  # known: not written twice
    journal.append(line_of(0, 2))
    assert [line.report.epoch for line in Journal(file).lines] == [1, 2]


def test_broken_files_of_a_run_are_told(tmp_path: Path) -> None:
    (tmp_path / "finalists.json").write_text("{}")
    with pytest.raises(UserError, match=r"finalists\.json: is damaged: it lacks finalists; restore"):
        read_finalists(tmp_path / "finalists.json")
    (tmp_path / "study.db").write_text("not a database, but long enough to look at")
    with pytest.raises(UserError, match=r"study\.db: file is not a database; restore"):
        Study(tmp_path / "study.db", "search", "maximize")
    line = json.dumps(line_of(0, 1).stored())
    (tmp_path / "trials.jsonl").write_text(line + '\n{"tri\n')
    with pytest.raises(UserError, match=r"trials\.jsonl: line 2 is damaged"):
        Journal(tmp_path / "trials.jsonl")
    (tmp_path / "trials.jsonl").write_text(line + '\n{"tri')  # torn by a crash
    assert Journal(tmp_path / "trials.jsonl").lines == [line_of(0, 1)]


def test_a_configuration_that_was_changed_in_the_study_is_refused(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    assert isinstance(work.next(1), Assignment)
    check_study(work.study, tmp_path / "trials.jsonl", experiment())
    work.study.close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE trial_params SET param_value = param_value / 2 WHERE param_name = 'model.dropout'")
    changed = Study(tmp_path / "study.db", "search", "maximize")
    with pytest.raises(Damaged, match="trial 0 has other values than it was created with"):
        check_study(changed, tmp_path / "trials.jsonl", experiment())


def test_a_full_disk_ends_the_search_in_one_message_and_loses_nothing(tmp_path: Path) -> None:
    many = Experiment.model_validate({"search": {"trials": 30, "sampler": "random"}, "space": experiment().space.root})
    work = open_work(tmp_path)
    work.rules.plan = SearchPlan(many)
    sqlalchemy.event.listen(sqlite(work.study), "connect", limit_pages)
    sqlite(work.study).dispose()  # connect again
    checkpoints: dict[int, int] = {}
    with pytest.raises(UserError, match=r"study\.db: can't be written: database or disk is full; nothing is lost"):
        simulate(work, checkpoints)
    in_memory = [(t.number, t.scores, t.attributes, t.state) for t in work.study.trials.values()]
    stored = Study(tmp_path / "study.db", "search", "maximize").trials.values()
    assert in_memory == [(t.number, t.scores, t.attributes, t.state) for t in stored]
    assert 5 < len(in_memory) < 30
    work = open_work(tmp_path)
    work.rules.plan = SearchPlan(many)
    simulate(work, checkpoints)
    assert len(work.study.trials) == 30 and not any(trial.running for trial in work.study.trials.values())


def limit_pages(connection: sqlite3.Connection, _: object) -> None:
    used = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {used}")


def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path) -> None:
    work, guard = open_work(tmp_path), Guard()
    searcher, scheduler = WorkSearcher(work, guard, SETUP, lambda: work.next(1)), WorkScheduler(work, guard)
    segment = type("Segment", (), {"config": searcher.suggest("a")})()
    with pytest.raises(UserError, match="the disk is full"):
        scheduler.on_trial_result(None, segment, {"outcome": "halted", "message": "the disk is full"})
    searcher.on_trial_complete("a", error=True)  # Tune takes it for the trial's error
    assert (
        scheduler.on_trial_result(None, segment, {"number": 0, "outcome": "failed", "message": "?"})
        == TrialScheduler.STOP
    )
    assert searcher.suggest("b") == "FINISHED"
    assert work.study.trials[0].running and not work.study.trials[0].attributes.crashes


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "halted",
            "run/trials/0: can't be written: [Errno 28] No space left on device",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            "infeasible",
            "memory is too small for it: CUDA out of memory.",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "infeasible",
            "memory is too small for it",
        ),
        (torch.AcceleratorError("CUDA error: out of memory"), "infeasible", "memory is too small for it"),
        (TooLarge("model: it does not fit"), "infeasible", "model: it does not fit"),
        (RuntimeError("a shape is wrong"), "failed", "RuntimeError: a shape is wrong"),
    ],
)
def test_what_an_error_in_training_says_of_the_trial(
    error: Exception, outcome: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = failing(error, tmp_path, monkeypatch)
    assert told[0]["outcome"] == outcome and message in told[0]["message"]


def test_an_error_of_the_gpu_itself_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(torch.AcceleratorError):
        failing(torch.AcceleratorError("CUDA error: an illegal memory access"), tmp_path, monkeypatch)


def failing(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is reported of a trial whose training raises the error."""
    told: list[dict[str, str]] = []

    def train(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(translation, "prepare", lambda *_: None)
    monkeypatch.setattr(translation, "train", train)
    monkeypatch.setattr(worker, "_leave_drained_node", lambda: None)  # which would start Ray
    monkeypatch.setattr("ray.tune.report", told.append)
    lock = DriverLock(tmp_path / "run")
    task = Assignment(0, experiment().trial, Path("run/trials/0"), 0)
    worker.train_trials(to_tune(task, replace(SETUP, driver_lock=lock.workers)))
    return told


def test_a_journal_on_a_full_disk_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trials.jsonl")
    journal.close()
    with (
        Path("/dev/full").open("ab", buffering=0) as journal._file,
        pytest.raises(UserError, match="No space left on device"),
    ):
        journal.append(line_of(0, 1))
    assert journal.lines == []


def test_an_heir_goes_on_from_a_copy_of_its_parents_checkpoint(tmp_path: Path) -> None:
    work = open_work(tmp_path, "pbt")
    state = {"weights": torch.arange(3.0)}
    for number in range(TRIALS):
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == number
        save_checkpoint(task.checkpoints, "epoch", 1, state, {"epoch": 1, "of": number})
        assert not work.reported(number, make_report(1, float(number)))
        work.released(number, crashed=False)
    heir = work.next(1)
    assert isinstance(heir, Assignment) and heir.number == TRIALS
    assert newest_checkpoint(heir.checkpoints) == (heir.checkpoints / "epoch-1", {"epoch": 1, "of": TRIALS - 1})
    assert torch.equal(load_state(heir.checkpoints / "epoch-1", torch.device("cpu"))["weights"], state["weights"])
    assert work.study.trials[0].outcome == "stopped"
    born, parent = (work.study.trials[number] for number in (heir.number, TRIALS - 1))
    assert (born.scores, born.losses) == (parent.scores, parent.losses) and born.losses


@pytest.mark.parametrize("scheduler", ["asha", "pbt"])
def test_a_new_trial_is_kept_safe_before_anybody_trains_it(scheduler: str, tmp_path: Path) -> None:
    work = open_work(tmp_path, scheduler)
    safe: set[int] = set()
    work.records.keep_safe = lambda: safe.update(work.study.trials)

    class Watch(Writer):
        def trial_started(self, trial: StudyTrial) -> None:
            assert trial.number in safe

        def trial_ended(self, trial: StudyTrial) -> None: ...

    work.listeners.append(Watch(work.checkpoints.folder))
    simulate(work, {})
    assert safe == set(work.study.trials)
    known = {trial.number: trial.attributes.after for trial in work.study.trials.values() if not trial.inherited}
    if scheduler == "asha":  # one after the other: those were known that came before its own first report
        first = {line.trial: place for place, line in reversed(list(enumerate(work.journal.lines)))}
        assert known == first


def test_of_those_who_wait_the_furthest_and_best_goes_to_the_end_and_the_lowest_number_first(tmp_path: Path) -> None:
    few = experiment("asha_promotion").with_values({"search.trials": 3, "search.scheduler.reduction_factor": 4})
    work = open_work(tmp_path, few, slots=3)
    assert [work.next(3) for _ in range(3)] and list(work.live) == [0, 1, 2]
    again = open_work(tmp_path, few, slots=3)  # the driver died
    tasks = [again.next(3) for _ in range(3)]
    assert [task.number for task in tasks if isinstance(task, Assignment)] == [0, 1, 2], "in the order of their numbers"
    for number, bleu in ((0, 20.0), (1, 30.0), (2, 25.0)):
        assert not again.reported(number, make_report(1, bleu))
        again.released(number, crashed=False)
    task = again.next(3)
    assert isinstance(task, Assignment) and (task.number, task.progress) == (1, 1)
    assert again.next(3) == WAIT, "the others may still be stopped by what comes of it"


def test_a_new_trial_never_starts_from_a_checkpoint_left_by_a_killed_driver(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    save_checkpoint(tmp_path / "trials" / "0", "epoch", 1, {}, {})  # copied for an heir that never was
    task = work.next(1)
    assert isinstance(task, Assignment) and not task.checkpoints.exists()
