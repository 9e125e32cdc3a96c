"""The search without Ray: simulated workers, killed anywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from search.budget import Budget, Spent
from search.experiment import Experiment
from search.finals import read_finalists
from search.journal import Journal
from search.proposals import make_plan
from search.scheduling import SuccessiveHalving
from search.study import Study, StudyTrial
from search.work import FINISHED, WAIT, Assignment, Work
from trainables.errors import UserError

EXPERIMENT = Experiment.model_validate(
    {
        "space": {"model.d_model": {"values": [64, 128, 256]}, "model.dropout": {"min": 0.0, "max": 0.5}},
        "search": {"trials": 6, "startup_trials": 3},
        "training": {"epochs": 4},
    }
)


EPOCH_STEPS = {64: 14, 128: 10, 256: 7}
BY_STEPS = EXPERIMENT.with_values({"training.report_steps": 5, "search.rungs": [10, 20]})


class Killed(BaseException):
    """The driver dies here."""


def score(trial: StudyTrial, epoch: int) -> float:
    return float(str(trial.params["model.d_model"])) / 16 - 20 * float(str(trial.params["model.dropout"])) + epoch


def budget_of(experiment: Experiment, slots: int = 1, before: Spent | None = None) -> Budget:
    config, epochs, finals = experiment.search.budget, experiment.training.epochs, experiment.finals
    by_steps = experiment.training.unit == "step"
    return Budget(
        config, epochs, experiment.rungs, by_steps, experiment.num_finals, finals.top, slots, before or Spent()
    )


def open_work(folder: Path, experiment: Experiment = EXPERIMENT, slots: int = 1) -> Work:
    folder.mkdir(exist_ok=True)
    study = Study(folder / "study.db", "search", "maximize")
    halving, plan = SuccessiveHalving(experiment.rungs, 2), make_plan(experiment)
    journal, endings = Journal(folder / "trials.jsonl"), [budget_of(experiment, slots)]
    steps = experiment.training.report_steps
    return Work(study, journal, folder / "trials", plan, halving, "valid_bleu", 4, 2, [], endings, steps)


def simulate(work: Work, checkpoints: dict[int, int], slots: int = 1) -> None:
    """Workers take turns, an epoch each; a checkpoint (the last epoch trained) comes before its report."""
    running: list[int] = []
    while True:
        task = work.next(slots)
        if isinstance(task, Assignment):
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
    """Report an epoch; or a round of steps, of which `epoch` is then the number."""
    trial = work.study.trials[number]
    report = {"epoch": epoch, "valid_bleu": score(trial, epoch), "train_seconds": 2.0, "eval_seconds": 1.0}
    if work.report_steps:
        epoch_steps = EPOCH_STEPS[int(str(trial.params["model.d_model"]))]  # as if it were a batch size
        step = min(epoch * work.report_steps, 4 * epoch_steps)
        report |= {"epoch": step / epoch_steps, "step": step}
    if not work.reported(number, report):
        running.remove(number)
        work.released(number, crashed=False)


def content(folder: Path) -> list[Any]:
    study = Study(folder / "study.db", "search", "maximize")
    return [(t.number, t.params, t.state, t.scores, t.outcome) for t in study.trials.values()]


def test_every_trial_is_completed_or_stopped_at_a_rung(tmp_path: Path) -> None:
    simulate(open_work(tmp_path), {})
    trials = list(Study(tmp_path / "study.db", "search", "maximize").trials.values())
    assert len(trials) == 6
    assert {trial.outcome for trial in trials} == {"completed", "stopped"}
    for trial in trials:
        assert trial.epoch == 4 if trial.outcome == "completed" else trial.epoch in EXPERIMENT.rungs
        assert list(trial.scores) == list(range(1, trial.epoch + 1))
        assert trial.state == (TrialState.COMPLETE if trial.outcome == "completed" else TrialState.PRUNED)


@pytest.mark.parametrize(
    "experiment", [EXPERIMENT, EXPERIMENT.with_values({"search.budget": {"epochs": 36}}), BY_STEPS]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_before_or_after_any_write_it_ends_as_if_undisturbed(
    when: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = {Study: ("add", "report", "set_attr", "finish"), Journal: ("append",)}
    count = [0, -1]  # writes so far, the one to die at

    def deadly(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            count[0] += 1
            deadly_one = count[0] == count[1]
            if deadly_one and when == "before":
                raise Killed
            result = write(*arguments)
            if deadly_one:
                raise Killed
            return result

        return call

    for owner, names in writes.items():
        for name in names:
            monkeypatch.setattr(owner, name, deadly(getattr(owner, name)))
    calm = tmp_path / "calm"
    simulate(open_work(calm, experiment), {})
    expected, writes_in_all = content(calm), count[0]
    for moment in range(1, writes_in_all, writes_in_all // 9):
        folder = tmp_path / f"{when}-{moment}"
        checkpoints: dict[int, int] = {}
        count[:] = [0, moment]
        with pytest.raises(Killed):
            simulate(open_work(folder, experiment), checkpoints)
        count[:] = [0, -1]
        simulate(open_work(folder, experiment), checkpoints)
        assert content(folder) == expected, f"killed {when} write {moment}"
        unit = experiment.training.unit
        lines = [(line["trial"], line[unit]) for line in Journal(folder / "trials.jsonl").lines]
        assert sorted(lines) == [(t[0], epoch) for t in expected for epoch in t[3]]


def test_by_steps_a_trial_ends_with_its_training_or_at_a_rung(tmp_path: Path) -> None:
    work = open_work(tmp_path, BY_STEPS)
    simulate(work, {})
    trials = list(work.study.trials.values())
    assert {trial.outcome for trial in trials} == {"completed", "stopped"}
    for trial in trials:
        epoch_steps = EPOCH_STEPS[int(str(trial.params["model.d_model"]))]
        assert trial.epoch == 4 * epoch_steps if trial.outcome == "completed" else trial.epoch in (10, 20)
        assert trial.epochs == trial.epoch / epoch_steps
        assert list(trial.scores) == [*range(5, trial.epoch, 5), trial.epoch]
    completed = [trial for trial in trials if trial.outcome == "completed"]
    ranked = sorted(trials, key=work.study.standing)
    assert ranked[: len(completed)] == sorted(completed, key=lambda trial: -trial.scores[trial.epoch])


def test_a_crashed_trial_is_retried_from_where_it_was_then_failed(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    for _ in range(3):
        task = work.next(1)
        assert isinstance(task, Assignment) and task.number == 0
        work.released(0, crashed=True)
    assert work.study.trials[0].outcome == "failed"
    assert "died 3 times" in work.study.trials[0].attrs["message"]
    simulate(work, {})
    assert len(work.study.trials) == 6  # the search went on


def test_a_diverged_trial_ends_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    task = work.next(2)
    assert isinstance(task, Assignment)
    work.ended(task.number, "diverged", "the loss became nan")
    work.released(task.number, crashed=False)
    simulate(work, {}, slots=2)
    diverged = work.study.trials[0]
    assert (diverged.outcome, diverged.attrs["message"], diverged.state) == (
        "diverged",
        "the loss became nan",
        TrialState.PRUNED,
    )
    assert len(work.study.trials) == 6


def test_no_more_trials_run_than_there_are_slots(tmp_path: Path) -> None:
    work = open_work(tmp_path)
    assert [isinstance(work.next(2), Assignment) for _ in range(3)] == [True, True, False]


def test_halving_at_a_rung(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", "s", "maximize")
    halving = SuccessiveHalving((1,), reduction_factor=2)

    def arrives(score: float) -> bool:
        trial = study.add({}, {})
        study.report(trial, 1, score)
        return halving.goes_on(study, trial)

    assert arrives(10)  # the first always goes on
    assert not arrives(5)  # 2nd of 2
    assert arrives(7)  # 2nd of 3
    assert arrives(10)  # equal to the best
    assert not arrives(6)  # behind three of five
    study = Study(tmp_path / "other.db", "s", "minimize")
    assert arrives(1.0) and not arrives(2.0) and arrives(0.5)


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    journal = Journal(file)
    journal.append({"trial": 0, "epoch": 1})
    journal.close()
    with file.open("a") as torn:
        torn.write('{"trial": 0, "ep')
    journal = Journal(file)
    journal.append({"trial": 0, "epoch": 1})  # known: not written twice
    journal.append({"trial": 0, "epoch": 2})
    assert [line["epoch"] for line in Journal(file).lines] == [1, 2]


def test_broken_files_of_a_run_are_told(tmp_path: Path) -> None:
    (tmp_path / "finalists.json").write_text("{}")
    with pytest.raises(UserError, match=r"finalists\.json: holds no finalists"):
        read_finalists(tmp_path / "finalists.json")
    (tmp_path / "study.db").write_text("not a database, but long enough to look at")
    with pytest.raises(UserError, match=r"study\.db: file is not a database; restore"):
        Study(tmp_path / "study.db", "search", "maximize")
    (tmp_path / "trials.jsonl").write_text('{"trial": 0, "epoch": 1}\n{"tri\n')
    with pytest.raises(UserError, match=r"trials\.jsonl: line 2 is not JSON"):
        Journal(tmp_path / "trials.jsonl")
    (tmp_path / "trials.jsonl").write_text('{"trial": 0, "epoch": 1}\n{"tri')  # torn by a crash
    assert Journal(tmp_path / "trials.jsonl").lines == [{"trial": 0, "epoch": 1}]
