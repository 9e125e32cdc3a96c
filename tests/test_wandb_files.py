"""W&B runs on disk are whole or absent, and what is wrong with the files of W&B never touches the search."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from heard import heard
from test_run import ROOT

from search.run_directory.earlier import Earlier
from search.settings.experiment import Experiment
from search.tracking.feed import Feed
from search.tracking.mirror import Mirror
from search.tracking.tracked import FEED, KNOWN, Destination
from search.tracking.tracker import Tracker
from search.tracking.wandb_file import is_whole
from search.tracking.wandb_runs import Kept
from trainables.base.sealing import Damaged

DESTINATION = Destination("offline", "words", None, (), None, "", patience=20)
RUNS, EPOCHS = 3, 2


def new_run(folder: Path) -> Experiment:
    """A run directory with the feed of trials that have ended."""
    tracking = {"wandb": "offline", "flush_seconds": 60}
    experiment = Experiment.model_validate({"name": "seen", "output_dir": str(folder), "tracking": tracking})
    (experiment.run_dir / "locks").mkdir(parents=True)
    feed = Feed(experiment, 0)
    for number in range(RUNS):
        run = {"run": f"trial-{number}", "name": f"seen-trial-{number}", "job_type": "trial", "config": {"seed": 1}}
        feed.write({**run, "state": "running"})
        feed.write(*({"run": f"trial-{number}", "step": e, "report": {"epoch": e}} for e in range(1, EPOCHS + 1)))
        feed.write({"run": f"trial-{number}", "state": "completed", "message": ""})
    return experiment


def follow(run_dir: Path, **settings: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "search.tracking.follower", str(run_dir), json.dumps(asdict(DESTINATION))]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT, start_new_session=True, **settings
    )


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Followers are killed as they write, one run is torn as version 0.1 tore them, and the last follower ends."""
    run_dir = new_run(tmp_path_factory.mktemp("runs")).run_dir
    (run_dir / "wandb").mkdir()
    torn = run_dir / "wandb" / f"offline-run-20260101_000000-{Kept(run_dir).run_id('trial-0')}"
    torn.mkdir()
    (torn / "run.wandb").write_bytes(b":W&B\xe1\xbe\x00")
    others = run_dir / "wandb" / "offline-run-20260101_000000-another"
    others.mkdir()
    for delay in (0, 0.1):
        follower = follow(run_dir, stdin=subprocess.PIPE)
        while not list((run_dir / "wandb" / ".draft").glob("wandb/offline-run-*")):
            assert follower.poll() is None
            time.sleep(0.002)
        time.sleep(delay)
        os.killpg(follower.pid, signal.SIGKILL)
        follower.communicate()
    last = follow(run_dir, stdin=subprocess.DEVNULL)
    said, _ = last.communicate()
    assert last.returncode == 0, said
    others.rmdir()  # it was left alone
    return run_dir


def test_runs_of_killed_followers_are_written_again_and_whole(mirrored: Path) -> None:
    folders = list((mirrored / "wandb").iterdir())
    keys = [Kept(mirrored).key(folder.name.split("-", 3)[-1]) for folder in folders]
    assert sorted(map(str, keys)) == [f"trial-{number}" for number in range(RUNS)], "no draft, none torn, none twice"
    assert all(is_whole(folder, reports=EPOCHS) for folder in folders)
    assert not any(is_whole(folder, reports=EPOCHS + 1) for folder in folders)


def test_a_file_that_ends_early_or_is_changed_is_not_whole(mirrored: Path, tmp_path: Path) -> None:
    (content,) = [file.read_bytes() for file in (mirrored / "wandb").glob("*-trial-0/*.wandb")]
    file = tmp_path / "run.wandb"
    assert not is_whole(tmp_path)
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        assert not is_whole(tmp_path), length
        file.write_bytes(content[:length] + bytes([content[length] ^ 1]) + content[length + 1 :])
        assert not is_whole(tmp_path), length
    file.write_bytes(content)
    assert is_whole(tmp_path)


def replaced(name: str, content: str = "no folder") -> Callable[[Path], object]:
    def replace(run_dir: Path) -> None:
        shutil.rmtree(run_dir / name, ignore_errors=True)
        (run_dir / name).write_text(content)

    return replace


FAULTS: dict[str, Callable[[Path], object]] = {
    "wandb": replaced("wandb"),
    KNOWN: replaced(KNOWN, '{"id": "1234'),
    FEED: replaced(FEED, '{"name": "seen"}\ngarbage\n'),
    "locks": replaced("locks"),
}


def test_what_is_wrong_with_the_files_of_wandb_is_told_in_a_line(tmp_path: Path) -> None:
    """Each fault in a run of its own, all at a time."""

    def spoil(name: str) -> None:
        experiment = new_run(tmp_path / f"with-{name}")
        FAULTS[name](experiment.run_dir)
        with heard(experiment.run_dir) as told, Mirror(experiment):
            pass
        (line,) = told.warnings
        assert not told.lines
        assert line.startswith("W&B lacks ") and str(experiment.run_dir / name) in line, line
        assert f"publish {experiment.run_dir}" in line and "Traceback" not in line

    with ThreadPoolExecutor(len(FAULTS)) as pool:
        list(pool.map(spoil, FAULTS))


def test_a_feed_that_can_not_be_written_is_told_once(tmp_path: Path) -> None:
    experiment = new_run(tmp_path)
    with heard() as told:
        feed = Feed(experiment, 0)
        assert not told.warnings
        feed.file.unlink()
        feed.file.mkdir()
        feed.searched()
        feed.searched()
        with Tracker(experiment, Earlier(experiment.run_dir)) as tracker:
            tracker.searched()
    assert len(told.warnings) == 2 and not told.lines, "a driver each"
    wanted = f"{feed.file}: can't be written (Is a directory)"
    assert all(wanted in line and "publish" in line for line in told.warnings)


def test_a_lack_of_room_for_temporary_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = new_run(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with heard() as told, Tracker(experiment, Earlier(experiment.run_dir)) as tracker:
        tracker.searched()
    (line,) = told.warnings
    assert line.startswith("W&B lacks all of this search (") and "No such file or directory" in line


def test_a_damaged_wandb_json_is_refused_for_another_id_would_be_another_searchs(tmp_path: Path) -> None:
    run_id = Kept(tmp_path).run_id("trial-0")
    assert Kept(tmp_path).run_id("trial-0") == run_id
    file = tmp_path / KNOWN
    content = file.read_text()
    changed = "0" if run_id[0] != "0" else "1"
    for damaged in (content.replace(run_id[:8], changed + run_id[1:8]), content[:20], "", "[]", "{}", '{"id": 5}'):
        file.write_text(damaged)
        with pytest.raises(Damaged, match=r"wandb.json: is damaged: .*, or remove it: then W&B gets this search"):
            Kept(tmp_path)
    file.write_text(json.dumps({"id": run_id[:8], "place": {"sweep-0": "a"}}))  # as version 0.1 wrote it
    kept = Kept(tmp_path)
    assert kept.run_id("trial-0") == run_id and kept.get("place", "sweep-0") == "a"
