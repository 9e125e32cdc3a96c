"""A run that died before its first trial is started again by the same command; what dead drivers leave is removed."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from test_run import write_config

import search.driver.search_run
import search.driver.study_run
from search.driver.beginning import has_begun, leftovers, remove_leftovers
from search.record.study import Study
from search.run import main
from trainables.base.files import write_atomically
from trainables.base.locks import DriverLock
from trainables.base.temporary import abandoned, temporary_folder, user_folder

KILLED, TRAINING = 9, 77  # statuses of a driver
STRIDE = 9 if os.environ.get("FAULTS_ALL") else 29  # of the writes before a kill
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"}


@contextmanager
def no_ray(*_: object, **__: object) -> Iterator[None]:
    yield


def drive(arguments: list[str], run_dir: Path, writes: int | None) -> int:
    """The status of a driver that comes to its first trial, or is killed before so many writes into the run."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = writes if writes is not None else sys.maxsize

    def count(*_: object, **__: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(KILLED)

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if event in CHANGES and str(given[0]).startswith(f"{run_dir}"):
            count()

    def train(*_: object, **__: object) -> None:
        os._exit(TRAINING)

    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        search.driver.search_run.running_ray = no_ray  # type: ignore[attr-defined]
        search.driver.search_run.Watchdog = lambda *_: nullcontext()  # type: ignore[attr-defined,assignment]
        search.driver.study_run.run_work = train  # type: ignore[attr-defined]
        sys.addaudithook(hear)
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
        os._exit(main(arguments))
    finally:
        os._exit(1)


def test_a_run_that_is_killed_at_any_of_its_first_writes_starts_again_by_the_same_command(tmp_path: Path) -> None:
    config = write_config(tmp_path, search={"trials": 3, "concurrency": 1})
    arguments, run_dir = ["--config", str(config), "--name", "young"], tmp_path / "runs" / "young"
    at, killed = 0, 0
    while (status := drive(arguments, run_dir, at)) == KILLED:
        killed += 1
        assert not has_begun(run_dir), at
        assert drive(arguments, run_dir, None) == TRAINING, f"killed before write {at}, it does not start again"
        assert {path.name for path in leftovers(run_dir)} == set(), at
        shutil.rmtree(run_dir)
        at += STRIDE
    assert status == TRAINING and killed * STRIDE > 40, "it writes study, journal, experiment and inputs"


def test_what_a_start_would_spoil_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "runs" / "mine"
    config = ["--config", str(write_config(tmp_path)), "--name", "mine"]

    def refused() -> bool:
        return main(config) == 2 and "exists and is not empty" in capsys.readouterr().err

    run_dir.mkdir(parents=True)
    assert not has_begun(run_dir)
    (run_dir / "thesis.tex").write_text("mine")
    assert has_begun(run_dir) and refused() and (run_dir / "thesis.tex").exists()
    (run_dir / "thesis.tex").unlink()
    study = Study(run_dir / "study.db", "search", "maximize")
    study.close()
    assert not has_begun(run_dir), "a study without trials"
    study = Study(run_dir / "study.db", "search", "maximize")
    study.add({}, {})
    study.close()
    assert has_begun(run_dir) and refused() and (run_dir / "study.db").exists()


def test_a_start_beside_a_driver_at_its_first_steps_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = DriverLock(tmp_path / "runs" / "busy")
    try:
        assert main(["--config", str(write_config(tmp_path)), "--name", "busy"]) == 2
        assert "another process is running this search" in capsys.readouterr().err
    finally:
        lock.release()


def test_leftovers_of_dead_drivers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("trials/3/epoch-1/state.pt", ".gitignore", "wandb/.mine.12", "best/x.1")]
    left = [
        tmp_path / name
        for name in ("trials/.tune-1/tune/x", "trials/3/.draft/state.pt", ".best/config.yaml", ".inputs.json.123")
    ] + [tmp_path / "finals" / "0" / ".test.json.77", tmp_path / ".study.db.draft"]
    for file in kept + left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    remove_leftovers(tmp_path)
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted(kept)


def test_a_write_that_fails_leaves_no_draft_and_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="can't be written") as caught:
        write_atomically(tmp_path / "taken", "content")
    assert caught.value.filename == str(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_the_temporary_folder_of_a_process_that_was_killed_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("trainables.base.temporary.roots", lambda: [tmp_path])
    if not (child := os.fork()):
        folder = temporary_folder()
        folder.__enter__()
        os._exit(0)  # as SIGKILL: nothing is cleaned up
    os.waitpid(child, 0)
    (dead,) = abandoned()
    with temporary_folder() as mine:
        assert not dead.exists() and mine.is_dir() and abandoned() == []
        with temporary_folder() as other:
            assert mine.is_dir() and other != mine
    assert list(user_folder().iterdir()) == [] and user_folder().stat().st_mode & 0o777 == 0o700
