"""W&B and TensorBoard, with the real client against a stand-in for the server on the loopback.

This proves the client's side only: what is sent, and what becomes of a search when the server fails. With a
WANDB_API_KEY, `make test-wandb-online` shows the first part to the real service.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import wandb
import yaml
from heard import Heard, heard
from processes import IN_CLOSED_NETWORK, can_close_network, packets_out
from tensorboardX.proto.event_pb2 import Event
from test_run import COMMAND, SPACE, assert_sound, run, write_config
from wandb_server import ENTITY, KEY, Fault, WandbServer, serve

from search.record.journal import read_lines
from search.record.study import Study
from search.run import main
from search.run_directory.earlier import Earlier
from search.run_directory.trust import BASE_URL, remember
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.tracking import tracker
from search.tracking.tracked import FeedReader

ROOT = Path(__file__).parents[1]
PATIENCE = 8.0
OFFLINE = [
    sys.executable,
    "-c",
    """
import logging
import sys
from pathlib import Path
from search.run_directory.earlier import Earlier
from search.settings.stored import stored_experiment
from search.tracking.tracker import mirror_once
experiment = stored_experiment(Path(sys.argv[1]))
tracking = experiment.tracking.model_copy(update={"wandb": "auto", "tensorboard": False})
logging.basicConfig(stream=sys.stdout, level=25, format="%(message)s")  # what is told to people
mirror_once(experiment.model_copy(update={"tracking": tracking}), Earlier(experiment.run_dir))
""",
]


def without_key(folder: Path) -> dict[str, str]:
    """An environment in which W&B finds no key."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    return environment | {"NETRC": str(folder / "none"), "WANDB_CONFIG_DIR": str(folder)}


@dataclass
class Watched:
    """A search, killed and resumed, that the server watched."""

    run_dir: Path
    server: WandbServer
    shown: str
    before_kill: int  # runs that the server had then


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    config = write_config(
        folder,
        search={"trials": 5, "concurrency": 2, "scheduler": "asha_promotion"},
        finals={"top": 2, "seeds": 1, "beam_size": 1},
        tracking={
            "wandb": "auto",
            "project": "words",
            "tags": ["digits"],
            "notes": "a test",
            "tensorboard": True,
            "flush_seconds": 200,  # a busy machine is no fault of the client
        },
    )
    run_dir = folder / "runs" / "seen"
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", server.url)
        patch.setenv("WANDB_API_KEY", KEY)
        driver = subprocess.Popen(
            [*COMMAND, "--config", str(config), "--name", "seen"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_worker_niceness": "0"},
        )
        deadline = time.monotonic() + 200
        while not any(served.history for served in server.runs.values()):
            assert driver.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        before, journal = len(server.runs), (run_dir / "trials.jsonl").read_bytes()
        resumed = run("resume", str(run_dir))
        assert resumed.returncode == 0, resumed.stderr
        assert (run_dir / "trials.jsonl").read_bytes().startswith(journal.rpartition(b"\n")[0])
        assert_sound(run_dir, trials=5)
        yield Watched(run_dir, server, resumed.stdout + resumed.stderr, before)


def copy(run_dir: Path, folder: Path) -> Experiment:
    """The run in another place, as if W&B had never heard of it."""
    copied = folder / run_dir.name
    shutil.copytree(run_dir, copied, ignore=shutil.ignore_patterns("wandb*", "tracking.jsonl", "locks"))
    (copied / "locks").mkdir()
    return stored_experiment(copied)


def publish(experiment: Experiment, complete: bool = True) -> Heard:
    with heard(experiment.run_dir) as told:
        assert tracker.publish(experiment) == complete, vars(told)
    return told


def assert_received(run_dir: Path, server: WandbServer) -> None:
    """The server has the search: one run a trial and one a finalist's seed, as study and journals have them."""
    assert server.unknown == []
    assert {served.group for served in server.runs.values()} == {"seen"}
    assert {served.project for served in server.runs.values()} == {"words"}
    for kind, study_name in (("trial", "search"), ("final", "finals")):
        study = Study(run_dir / "study.db", study_name, "maximize")
        lines = read_lines(run_dir / f"{kind}s.jsonl")
        served = {int(r.name.rpartition("-")[2]): r for r in server.runs.values() if r.job_type == kind}
        assert served.keys() == study.trials.keys()
        for number, one in served.items():
            trial = study.trials[number]
            reports = [
                {k: v for k, v in line.figures().items() if v is not None} for line in lines if line.trial == number
            ]
            assert one.metrics == reports
            assert [line["_step"] for line in one.history] == [report["epoch"] for report in reports]
            assert one.summary["state"] == trial.outcome
            assert one.state == "finished"
            values = {key: entry["value"] for key, entry in one.config.items() if key != "_wandb"}
            searched = {path: values[path] for path in SPACE}
            assert searched["model.d_model"] == values["model"]["d_model"]
            if kind == "trial":
                assert searched == trial.params
                assert one.display_name == f"seen-trial-{number}"
                assert one.sweep in server.sweeps
            else:
                assert one.display_name == f"seen-final-{trial.params['finalist']}-seed{trial.params['seed']}"
                assert one.sweep == ""
            assert one.tags == ["digits"] and one.notes == "a test"
            axes = one.config["_wandb"]["value"]["m"]
            assert any(axis.get("2") == "epoch" or axis.get("1") == "epoch" for axis in axes)
    (sweep,) = server.sweeps.values()
    assert sweep.config["parameters"] == SPACE
    assert sweep.config["method"] == "custom" and sweep.config["controller"] == {"type": "local"}
    assert sweep.config["metric"] == {"name": "valid_bleu", "goal": "maximize"}
    assert sweep.state == "FINISHED"
    (html,) = (served for served in server.runs.values() if served.job_type == "report")
    assert (run_dir / "report.html").read_bytes() in html.files.values()
    (report,) = server.reports.values()
    board = json.loads((run_dir / "leaderboard.json").read_text())
    said = json.dumps(report["spec"], ensure_ascii=False)
    assert f"{board['ranking'][0]['test_bleu']:.2f} BLEU on the test data" in said
    for panel in ("Parallel Coordinates Plot", "Parameter Importance", "Run History Line Plot", "Media Browser"):
        assert f'"viewType": "{panel}"' in said


def test_a_killed_and_resumed_search_is_one_run_a_trial(watched: Watched) -> None:
    assert_received(watched.run_dir, watched.server)
    assert 0 < watched.before_kill < len(watched.server.runs)
    outcomes = {served.summary["state"] for served in watched.server.runs.values()}
    assert {"completed", "stopped"} <= outcomes
    kept = json.loads((watched.run_dir / "wandb.json").read_text())[f"{watched.server.url}/{ENTITY}/words"]
    assert f"W&B sweep: {watched.server.url}/{ENTITY}/words/sweeps/{kept['sweep-0']}" in watched.shown
    assert f"W&B report: {kept['report-address']}" in watched.shown
    assert "warning" not in watched.shown


def test_the_key_is_written_nowhere(watched: Watched) -> None:
    assert KEY not in watched.shown
    for file in watched.run_dir.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_tensorboard_files_have_every_epoch(watched: Watched) -> None:
    found = {folder.name for folder in (watched.run_dir / "tensorboard").iterdir()}
    assert {f"trial-{n}" for n in range(5)} | {"final-0", "final-1"} == found
    values = {}
    for file in (watched.run_dir / "tensorboard" / "final-0").iterdir():
        content = file.read_bytes()
        while content:  # length, its checksum, the record, its checksum
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                if value.tag == "valid_bleu":
                    values[event.step] = value.simple_value
            content = content[16 + length :]
    lines = read_lines(watched.run_dir / "finals.jsonl")
    expected = {line.report.epoch: line.report.score("valid_bleu") for line in lines if line.trial == 0}
    assert values == pytest.approx(expected, rel=1e-6)


def test_publish_sends_a_run_and_a_second_time_nothing(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = copy(watched.run_dir, tmp_path)
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        publish(experiment)
        assert_received(experiment.run_dir, server)
        runs, starts = set(server.runs), [served.starts for served in server.runs.values()]
        assert set(starts) == {1}
        publish(experiment)
        assert_received(experiment.run_dir, server)
        assert (set(server.runs), [served.starts for served in server.runs.values()]) == (runs, starts)
        monkeypatch.delenv("WANDB_API_KEY")
        monkeypatch.setenv("NETRC", str(tmp_path / "none"))
        told = publish(experiment, complete=False)
    assert "set WANDB_API_KEY" in told.warnings[-1]


def test_without_the_package_for_reports_all_else_is_sent_and_the_extra_is_named(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['wandb_workspaces'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # of the follower
    experiment = copy(watched.run_dir, tmp_path)
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        told = publish(experiment)
        assert len(server.runs) == 8 and not any("W&B report: " in line for line in told.lines)
    assert any("needs wandb-workspaces, which is not installed: pip install 'babeltune[" in line for line in told.lines)


@pytest.mark.parametrize("place", ["", "20261128T120000-0123456789ab"], ids=["of 0.1", "below its driver"])
def test_a_run_in_a_storage_is_published_from_anywhere_and_a_second_time_nothing(
    place: str, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/bucket/seen"
    shutil.copytree(copy(watched.run_dir, tmp_path / "copied").run_dir, tmp_path / "bucket" / "seen" / place)
    driver = {"key": place, "host": "gone", "pid": 1, "beat": 1, "ended": True} | ({"whole": place} if place else {})
    (tmp_path / "bucket" / "seen" / "driver.json").write_text(json.dumps(driver))
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        seen = []
        for machine in ("first", "second"):
            (tmp_path / machine).mkdir()
            monkeypatch.chdir(tmp_path / machine)
            assert main(["publish", url]) == 0
            assert_received(Path.cwd() / "runs" / "seen", server)
            seen.append({run_id: served.starts for run_id, served in server.runs.items()})
    assert seen[0] == seen[1]


def test_offline_runs_stay_here_and_are_readable(watched: Watched, tmp_path: Path) -> None:
    experiment = copy(watched.run_dir, tmp_path)
    closed = can_close_network()
    command = [*(IN_CLOSED_NETWORK if closed else ()), *OFFLINE, str(experiment.run_dir)]
    environment = without_key(tmp_path)
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert not closed or packets_out(shown) == 0, "something tried to leave the machine"
    reader, lived = (FeedReader(folder / "tracking.jsonl") for folder in (experiment.run_dir, watched.run_dir))
    assert reader.read() and lived.read()
    assert reader.search.runs == lived.search.runs, "a feed made afterwards says what the one of the search said"
    files = list((experiment.run_dir / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == len(reader.search.runs) == 7
    assert "7 runs in" in shown and "publish" in shown

    def inspect(file: Path) -> tuple[str, str, int]:
        command = [sys.executable, "-m", "wandb", "leet", "inspect", str(file), "--summary", "--json"]
        summary = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
        return summary["name"], summary["summary"]["state"], summary["summary"]["epoch"]

    with ThreadPoolExecutor() as pool:
        read = set(pool.map(inspect, files))
    assert read == {(tracked.name, tracked.state, max(tracked.reports)) for tracked in reader.search.runs.values()}


@dataclass(frozen=True)
class Failing:
    """How a server fails, and after how many requests."""

    name: str
    fault: Fault | None
    after: int


FAILING = [
    Failing("refuses the key", "wrong key", 0),
    Failing("is not there", None, 0),
    Failing("is broken", "500", 0),
    Failing("is too busy from the middle on", "429", 30),
    Failing("hangs from the middle on", "hang", 30),
]


def test_a_server_that_fails_costs_a_bounded_time_and_a_line(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All faults at a time, each with a server and a run directory of its own; afterwards each server is fixed."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    def fail(failing: Failing) -> None:
        folder = tmp_path / failing.name
        experiment = copy(watched.run_dir, folder)
        with serve() as server, heard(experiment.run_dir) as told:
            server.fails_after, server.later_fault = failing.after, failing.fault
            url = server.url if failing.fault else "http://127.0.0.1:9"
            changes = {"flush_seconds": PATIENCE, "base_url": url, "wandb": "online", "tensorboard": False}
            tracking = experiment.tracking.model_copy(update=changes)
            for named in (url, server.url):  # by the user: else no key goes there
                there = tracking.model_copy(update={"base_url": named})
                remember(experiment.model_copy(update={"tracking": there}), [BASE_URL])
            search = Study(experiment.run_dir / "study.db", "search", "maximize")
            began = time.monotonic()
            with tracker.Tracker(
                experiment.model_copy(update={"tracking": tracking}), Earlier(experiment.run_dir)
            ) as watching:
                watching.show_trials(search)
                assert time.monotonic() - began < PATIENCE / 2, "the driver waited"
            assert time.monotonic() - began < PATIENCE * 2
            (lacks,) = [line for line in told.warnings if line.startswith("W&B lacks")]
            assert f"publish {experiment.run_dir}" in lacks and "Traceback" not in lacks
            assert len(told.warnings) <= 2

            server.later_fault = server.fault = None
            server.released.set()
            if failing.after:
                restored = tracking.model_copy(update={"base_url": server.url, "flush_seconds": 60.0})
                publish(experiment.model_copy(update={"tracking": restored}))
                assert_received(experiment.run_dir, server)

    with ThreadPoolExecutor(len(FAILING)) as pool:
        list(pool.map(fail, FAILING))


def test_a_full_disk_leaves_no_torn_file(watched: Watched, tmp_path: Path) -> None:
    if not can_close_network():
        pytest.skip("this machine has no user namespaces to mount a small disk in")
    experiment = copy(watched.run_dir, tmp_path)
    folder = experiment.run_dir / "wandb"
    folder.mkdir()
    mount = 'mount -t tmpfs -o size=1m none "$0" && "$@" && find "$0" -type f'
    small_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
    done = subprocess.run(
        [*small_disk, *OFFLINE, str(experiment.run_dir)], capture_output=True, text=True, env=without_key(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"W&B lacks 7 of 7 runs on disk (the disk of {folder} is full)")


def test_agents_run_the_trials_of_a_sweep_and_end_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_config(tmp_path, training={"epochs": 2, "batch_tokens": 128, "warmup_steps": 20})
    sweep = yaml.safe_load((ROOT / "configs" / "wandb-sweep.yaml").read_text())
    sweep["command"] = [str(config) if word == "quickstart" else word for word in sweep["command"]]
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    with serve() as server:
        environment = {
            **os.environ,
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": KEY,
            "WANDB_DIR": str(tmp_path),
            "WANDB_ERROR_REPORTING": "false",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        made = subprocess.run(
            ["wandb", "sweep", "--project", "words", str(file)], capture_output=True, text=True, env=environment
        )
        assert made.returncode == 0, made.stderr
        (served,) = server.sweeps.values()
        assert served.config["parameters"].keys() == sweep["parameters"].keys()
        served.pending = [{"model.d_model": 16, "model.dropout": 0.0}, {"model.d_model": 32, "model.dropout": 0.1}]
        agents = [
            subprocess.Popen(["wandb", "agent", f"{ENTITY}/words/{served.name}"], env=environment, cwd=ROOT)
            for _ in range(2)
        ]
        assert [agent.wait(timeout=200) for agent in agents] == [0, 0]
        assert server.unknown == []
        assert served.state == "FINISHED"
        tried = [one.config["model"]["value"]["d_model"] for one in server.runs.values()]
        assert sorted(tried) == [16, 32]
        for one in server.runs.values():
            assert [line["epoch"] for line in one.metrics] == [1, 2]
            assert (one.state, one.summary["state"], one.sweep) == ("finished", "completed", served.name)


@pytest.mark.online
@pytest.mark.skipif(not os.environ.get("WANDB_API_KEY"), reason="WANDB_API_KEY is not set: the real W&B was not asked")
def test_the_real_service_shows_what_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, project = f"check-{int(time.time())}", "babeltune-test"
    config = write_config(tmp_path, tracking={"wandb": "online", "project": project}, finals={"top": 2, "seeds": 1})
    done = run("--config", str(config), "--name", name)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout and "W&B report: " in done.stdout
    run_dir = tmp_path / "runs" / name
    publish(stored_experiment(run_dir))
    kept = json.loads((run_dir / "wandb.json").read_text())
    ((place, addresses),) = ((key, value) for key, value in kept.items() if key not in ("id", "seal"))
    api = wandb.Api()
    path = "/".join(place.split("/")[-2:])
    shown = {one.name: one for one in api.runs(path, filters={"group": name}, lazy=False)}
    for kind, study_name in (("trial", "search"), ("final", "finals")):
        for trial in Study(run_dir / "study.db", study_name, "maximize").trials.values():
            key = f"{trial.params['finalist']}-seed{trial.params['seed']}" if kind == "final" else trial.number
            one = shown.pop(f"{name}-{kind}-{key}")
            history = {
                row["epoch"]: row["valid_bleu"] for row in one.history(keys=["epoch", "valid_bleu"], pandas=False)
            }
            assert history == pytest.approx(trial.scores)
            assert (one.state, one.summary["state"]) == ("finished", trial.outcome)
            if kind == "trial":
                assert {path: one.config[path] for path in trial.params} == trial.params
                assert one.sweep_name == addresses["sweep-0"]
    assert shown.keys() == {f"{name}-report"}
    sweep = api.sweep(f"{path}/{addresses['sweep-0']}")  # type: ignore[no-untyped-call]
    assert sweep.state.lower() == "finished"
