"""Training by a command: its bad behaviour is a bad trial, and no interruption changes what an exact one gives."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import figures, search_tree, toy, trained

from search import Experiment
from search.command.check import check_command, verdicts
from search.command.finals_config import command_of
from trainables.base.checkpoint_files import last_checkpoints, newest_checkpoint
from trainables.base.errors import Diverged, TooLarge, UserError
from trainables.base.report import EpochReport
from trainables.command.config import CommandConfig
from trainables.command.outcomes import CommandDied
from trainables.command.training import TRAINER
from trainables.command.translating import translate_lines

BAD: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("hangs", {"command__timeout_seconds": 1}, UserError, r"no report of step 20 for 1 s .*\(it reported step 10\)"),
    ("ignores", {"command__timeout_seconds": 1}, UserError, "no report of step 20 for 1 s"),
    ("rubbish", {}, UserError, "it reports 'much better' as valid_bleu at step 20, which is not a number"),
    ("fails", {}, UserError, "ended by itself with status 1 before its report of step 20 .*: no such layer"),
    ("leaves", {}, UserError, "ended by itself with status 0 before its report of step 20"),
    ("skips", {}, UserError, "it reported step 21, but not step 20 with all metrics"),
    ("exceeds", {}, TooLarge, "memory is too small for it: RuntimeError: CUDA out of memory"),
    ("dies", {}, CommandDied, "signal 9 ended the command before its report of step 20"),
]


@pytest.mark.parametrize(("does", "changes", "error", "says"), BAD, ids=[each[0] for each in BAD])
def test_bad_behaviour_ends_the_trial_with_a_sentence(
    does: str, changes: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        trained(tmp_path / "run" / "trials" / "3", trainer__does=does, trainer__at=20, **changes)
    found = newest_checkpoint(tmp_path / "run" / "trials" / "3")
    assert found and found[0].name == "epoch-1", "what was reported stays"
    assert not (tmp_path / "run" / "trials" / "3" / "work").exists()
    assert (tmp_path / "run" / "logs" / "trials-3.txt").exists()


@pytest.mark.parametrize(("does", "says"), [("nan", "valid_bleu became nan in epoch 2"), ("diverges", "Loss: nan")])
def test_exit_status_0_is_no_success_after_a_nan(does: str, says: str, tmp_path: Path) -> None:
    first, last = trained(tmp_path / "trial", trainer__does=does, trainer__at=20)
    assert isinstance(first, EpochReport) and isinstance(last, Diverged) and says in str(last)


def test_a_second_report_of_a_step_replaces_nothing(tmp_path: Path) -> None:
    twice, once = (trained(tmp_path / does, trainer__does=does) for does in ("twice", "nothing"))
    assert figures(twice) == figures(once) and len(once) == 3


def test_half_a_checkpoint_is_gone_when_the_training_starts_again(tmp_path: Path) -> None:
    with pytest.raises(CommandDied):
        trained(tmp_path / "trial", trainer__does="half", trainer__at=20)
    (tmp_path / "trial" / "done-once").touch()
    again = trained(tmp_path / "trial", trainer__does="half", trainer__at=20)
    assert figures(again) == figures(trained(tmp_path / "whole"))


def test_children_that_leave_the_process_group_end_with_it(tmp_path: Path) -> None:
    trained(tmp_path / "trial", trainer__does="forks")
    written = tmp_path / "trial" / "survivor"
    size = written.stat().st_size
    assert size, "it was alive"
    time.sleep(0.3)
    assert written.stat().st_size == size


@pytest.mark.parametrize("pause", ["stop", "target"])
def test_an_exact_trainer_gives_the_same_however_often_it_is_paused(pause: str, tmp_path: Path) -> None:
    settings = {"command__pause": pause} | ({"command__set__steps": "{target}"} if pause == "target" else {})
    config = CommandConfig.model_validate(toy(**settings) | {"trainer": {"model": {"rate": 0.1}, "seconds": 0.005}})
    folder, cache = tmp_path / "trial", tmp_path / "cache"
    for before in range(3):  # it is closed after each new report, as by a scheduler
        reports = TRAINER.train([config], cache, [folder], 0, 2)
        for _ in range(1 + (before > 0)):  # the last one is reported again
            report = next(reports)[1]
        reports.close()
        assert isinstance(report, EpochReport) and report.epoch == before + 1
        last = report.figures
    assert last == figures(trained(tmp_path / "whole"))[-1]


def test_a_command_whose_worker_is_killed_ends_and_another_waits_for_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from commands import trained; "
        "trained(Path(sys.argv[1]), trainer__seconds=0.02)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "trial")], env=environment)
    deadline = time.monotonic() + 60
    while newest_checkpoint(tmp_path / "trial") is None:
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    again = trained(tmp_path / "trial")
    assert figures(again)[-1] == figures(trained(tmp_path / "whole"))[-1]


def test_a_command_ends_also_if_the_children_of_its_worker_are_killed_first(tmp_path: Path) -> None:
    """As Ray does when it ends a worker."""
    program = (
        "import sys; from pathlib import Path; from commands import trained; "
        "trained(Path(sys.argv[1], 'trials', '0'), trainer__does='orphan')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment)
    told, deadline = tmp_path / "trials" / "0" / "processes", time.monotonic() + 60
    while not told.exists() or told.read_text().count(" ") < 2:
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for process in (*map(int, children), worker.pid):
        os.kill(process, signal.SIGKILL)
    worker.wait()
    while any(Path(f"/proc/{process}").exists() for process in told.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_outlives_worker_and_guard_holds_the_locks(tmp_path: Path) -> None:
    """So a later driver waits for it, or refuses to start."""
    program = (
        "import sys; from pathlib import Path; from commands import trained; "
        "from trainables.base.locks import DriverLock, join_driver; "
        "lock = DriverLock(Path(sys.argv[1])); print(lock.workers, flush=True); join_driver(lock.workers); "
        "trained(Path(sys.argv[1], 'trials', '0'), trainer__does='orphan')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    lock, told = Path(worker.stdout.readline().strip()), tmp_path / "run" / "trials" / "0" / "processes"
    deadline = time.monotonic() + 60
    while not told.exists() or told.read_text().count(" ") < 2:
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    guard, trainer, child = map(int, told.read_text().split())
    for process in (guard, worker.pid):
        os.kill(process, signal.SIGKILL)
    worker.wait()
    while Path(f"/proc/{trainer}").exists():
        assert time.monotonic() < deadline, "the trainer dies with its guard"
        time.sleep(0.02)
    assert not is_free(lock) and not is_free(told.with_name("lock"))
    os.kill(child, signal.SIGKILL)
    while not (is_free(lock) and is_free(told.with_name("lock"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_blank_lines_are_not_given_to_the_command_and_lines_are_counted(tmp_path: Path) -> None:
    trained(tmp_path / "trial", training__epochs=1)
    (checkpoint,) = last_checkpoints(tmp_path / "trial", 1)
    config, lines = CommandConfig.model_validate(toy()), ["the red house", "", "  ", "a small cat"]
    found = translate_lines(config, checkpoint, lines, tmp_path / "cache")
    assert [bool(line) for line in found] == [True, False, False, True]
    for translate, says in (
        ("{python} -c 'print(1)'", "printed 1 lines for 2 lines that are not blank"),
        ("{python} -c 'import sys; sys.exit(\"no model\")'", "ended with status 1: no model"),
        ("{python} -c 'import time; time.sleep(99)'", r"took more than 1 s \(command.timeout_seconds\)"),
    ):
        other = CommandConfig.model_validate(toy(command__translate=translate, command__timeout_seconds=1))
        with pytest.raises(UserError, match=says):
            translate_lines(other, checkpoint, lines, tmp_path / "cache")


def test_a_check_says_what_holds_and_what_does_not(tmp_path: Path) -> None:
    def checked(**changes: Any) -> list[str]:
        experiment = Experiment.model_validate(search_tree(tmp_path, **changes))
        return list(verdicts(check_command(experiment, lambda text: None), command_of(experiment)))

    assert [line.split(":")[0] for line in checked()] == ["holds"] * 4
    *_, pause, advice = checked(command__resume={"start": "{checkpoint}", "seed": 5, "model.rate": 0.2})
    assert pause.startswith("does not hold: a pause changes the numbers: valid_bleu")
    assert advice == "write into the configuration: command: {exact: false}"
    assert "does not hold: two trainings with one seed" in "".join(checked(trainer__does="noise"))
    with pytest.raises(UserError, match=r"status 1 before its report of step 10 .*no such layer; .*log.txt has all"):
        checked(trainer__does="fails")
