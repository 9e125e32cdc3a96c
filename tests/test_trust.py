"""What a run directory of somebody else can make this machine do: nothing that its user has not looked at."""

import ast
import base64
import json
import os
import pickle
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from heard import heard
from optuna.trial import TrialState

import search.run_directory.trust as trust
import search.settings.known_runs as known_runs
from search.commands.resume import resumed_experiment
from search.record.study import Study
from search.run import main
from search.run_directory.trust import ALL, followed, remember
from search.samplers import Task
from search.samplers.optuna_kinds import CmaEsSettings
from search.settings.experiment import Experiment
from search.settings.known_runs import KEPT, RUN_ID
from search.settings.stored import stored_experiment, write_experiment
from search.space.domain import Domain
from search.space.space import SearchSpace
from trainables.base.errors import UserError
from trainables.base.mistakes import validate
from trainables.base.outcomes import Outcome
from trainables.base.sealing import Damaged

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "runs" / "0.1"  # a finished run without an id
KEY = "0123456789abcdef" * 3
REACHING: dict[str, Any] = {
    "cluster": "192.0.2.1:6379",
    "teardown": True,
    "storage": "s3://somebody/runs",
    "finals": {"neural_metric": "package.module:function"},
    "metrics": {"mine": {"kind": "command", "command": "true"}},
    "tracking": {"base_url": "http://192.0.2.1", "entity": "somebody"},
    "search": {"sampler": "package.module:Sampler", "scheduler": "package.module:Rule"},
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a user who has never searched."""
    monkeypatch.setenv(KEPT, "")  # so that it is taken back afterwards
    monkeypatch.delenv(KEPT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def a_run(folder: Path, **changes: Any) -> Path:
    """A copy of the finished run, with changed keys."""
    shutil.copytree(OLD, folder)
    tree = stored_experiment(folder).model_dump(mode="json")
    for key, value in changes.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    write_experiment(folder / "experiment.yaml", validate(Experiment, tree, ""))
    return folder


def search(run_dir: Path, *options: str) -> list[str]:
    """What becomes of a resumed run before it is searched; the warnings."""
    experiment, given, _ = resumed_experiment([str(run_dir), *options], "resume")
    with heard() as told:
        remember(experiment, given)
    write_experiment(run_dir / "experiment.yaml", experiment)
    return told.warnings


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another process would find it."""
    monkeypatch.delenv(KEPT, raising=False)


def test_a_run_of_somebody_else_reaches_nothing_before_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = a_run(tmp_path / "theirs", **REACHING)
    reaching = {*ALL} - {"problem", "command"}  # see tests/test_problems.py and tests/test_command_search.py
    assert set(followed(stored_experiment(run_dir))) == reaching
    for verb, keys in (("resume", reaching), ("publish", set(trust.PUBLISHED))):
        with pytest.raises(UserError, match="not known here as a run of yours") as refused:
            resumed_experiment([str(run_dir)], verb)
        assert set(re.findall(r"^  ([\w.]+): \S", str(refused.value), re.MULTILINE)) == keys
        assert "192.0.2.1" in str(refused.value) and str(refused.value).endswith(
            "--trust, or override them by --KEY VALUE"
        )
    assert search(run_dir, "--trust") == []
    forget(monkeypatch)
    assert search(run_dir) == [], "who has looked once is not asked again"


def test_a_key_of_the_command_line_is_trusted_and_the_others_are_listed(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path / "theirs", cluster="auto", tracking={"base_url": "http://192.0.2.1"})
    with pytest.raises(UserError) as refused:
        search(run_dir, "--cluster", "auto")
    assert "tracking.base_url: http://192.0.2.1" in str(refused.value) and "cluster:" not in str(refused.value)
    search(run_dir, "--cluster", "192.0.2.7:6379", "--tracking.base_url", "null")
    hiding = a_run(tmp_path / "hiding", cluster="auto", tracking={"entity": "me\x1b[1A\x1b[2K"})
    with pytest.raises(UserError, match=r"cluster: auto .*\n.*'me\\x1b\[1A\\x1b\[2K'"):
        search(hiding)


def test_a_run_that_names_neither_hosts_nor_code_asks_nobody(tmp_path: Path, state: Path) -> None:
    run_dir = a_run(tmp_path / "old")
    assert search(run_dir) == []
    assert re.fullmatch(r"[0-9a-f]{32}", (run_dir / RUN_ID).read_text())
    assert (state / "babeltune" / "runs").stat().st_mode & 0o077 == 0


def test_ones_own_run_never_asks_wherever_it_is_moved_and_whatever_its_owner_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = a_run(tmp_path / "own")
    search(run_dir, "--finals.neural_metric", "mine:score")
    search(run_dir, "--cluster", "auto")
    forget(monkeypatch)
    run_dir = run_dir.rename(tmp_path / "moved")
    assert search(run_dir) == []


def test_who_copies_an_id_into_his_own_run_gains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = a_run(tmp_path / "own")
    search(own, "--cluster", "auto")
    theirs = a_run(tmp_path / "theirs", cluster="192.0.2.1:6379")
    shutil.copy(own / RUN_ID, theirs)
    forget(monkeypatch)
    with pytest.raises(UserError, match=r"cluster: 192\.0\.2\.1:6379"):
        search(theirs)
    for damaged in ("../../../theirs", "", "0" * 33, "\0"):
        (theirs / RUN_ID).write_text(damaged)
        with pytest.raises(UserError, match=r"cluster: 192\.0\.2\.1:6379"):
            search(theirs)


@pytest.mark.parametrize("place", ["a file", "of another", "nowhere"])
def test_a_state_folder_that_takes_nothing_stops_no_search(
    place: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "a file":
        state.write_text("")
    elif place == "of another":
        (state / "babeltune" / "runs").mkdir(parents=True)
        (state / "babeltune" / "runs").chmod(0o777)
    else:
        monkeypatch.setattr(known_runs, "user_state_path", lambda *_, **__: Path("~"))
    run_dir = a_run(tmp_path / "own")
    assert search(run_dir) == [], "nothing is lost"
    forget(monkeypatch)
    (said,) = search(run_dir, "--finals.neural_metric", "mine:score")
    assert said.endswith("so it can't be noted that this run is yours, and `resume` will ask for --trust")
    assert search(run_dir) == [], "a driver that the watchdog starts inherits it"
    assert trust.is_said(run_dir, "finals.neural_metric", "mine:score")
    forget(monkeypatch)
    with pytest.raises(UserError, match=r"finals\.neural_metric: mine:score"):
        search(run_dir)


def test_a_link_out_of_a_run_is_looked_at_where_the_run_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, outside = a_run(tmp_path / "theirs"), tmp_path / "outside"
    (run_dir / "latest.yaml").symlink_to("experiment.yaml")
    (run_dir / "wandb" / "run").mkdir(parents=True, exist_ok=True)
    (run_dir / "wandb" / "run" / "debug-core.log").symlink_to(outside)  # as W&B does
    search(run_dir)
    (run_dir / "earlier").symlink_to(outside)
    assert search(run_dir) == [], "its user may put parts of it elsewhere"
    forget(monkeypatch)
    run_dir = run_dir.rename(tmp_path / "copied")  # as if with a copied id
    with pytest.raises(UserError) as refused:
        search(run_dir)
    assert f"\n  earlier -> {outside}  (a link" in str(refused.value) and str(refused.value).count("->") == 1
    search(run_dir, "--trust")
    forget(monkeypatch)
    search(run_dir)


def test_the_storage_of_a_run_that_was_fetched_is_the_one_that_the_user_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/bucket"
    place = a_run(tmp_path / "bucket" / "NAME" / "20261128T120000-0123456789ab", storage=url)
    (place / RUN_ID).write_text("a" * 32)
    driver = {"key": place.name, "host": "gone", "pid": 1, "beat": 1, "ended": True, "whole": place.name}
    (place.parent / "driver.json").write_text(json.dumps(driver))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    experiment, given, _ = resumed_experiment([f"{url}/NAME"], "resume")
    assert experiment.storage == url and given == {"storage"}
    with pytest.raises(UserError, match=f"storage: {url}"):
        resumed_experiment(["runs/NAME"], "resume")
    assert main(["fetch", f"{url}/NAME"]) == 0
    resumed_experiment(["runs/NAME"], "resume")


def test_all_that_runs_code_by_name_is_known() -> None:
    found = []
    for file in (file for package in ("model", "trainables", "search") for file in (ROOT / package).rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            safe = name == "torch.load" and "weights_only=True" in ast.unparse(call)
            if name.split(".")[-1] in ("import_module", "__import__", "run_path", "run_module") or (
                name in ("eval", "exec", "torch.load", "pickle.load", "pickle.loads", "cloudpickle.load") and not safe
            ):
                found.append(file.relative_to(ROOT).as_posix())
    own = ["search/__init__.py", "search/commands/__init__.py"]  # they import what is the program's own
    assert sorted(found) == [*own, "trainables/base/user_code.py"], "a key that names code belongs into trust.FOLLOWED"


class Command:
    """A pickle that runs a command where it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("OPENED", "1")


def test_the_optimizer_of_cma_es_comes_from_the_study_and_no_other_code_does() -> None:
    domains = {name: Domain(min=0.0, max=1.0) for name in ("training.clip_norm", "training.label_smoothing")}
    space = SearchSpace(domains)
    task = Task(space, lambda params: params, seed=1)
    study, sampler = Study(None, "search", "maximize"), CmaEsSettings().make(task)
    kept = None
    for _ in range(20):
        proposal = sampler.propose(study)
        assert proposal
        trial = study.add(proposal.params, space.to_optuna(), memory=proposal.memory)
        study.report(trial, 1, sum(float(str(value)) for value in proposal.params.values()))
        study.finish(trial, Outcome.COMPLETED)
        assert trial.state == TrialState.COMPLETE
        kept = next((key for key in proposal.memory["optuna"] if ":optimizer:" in key), kept)
    assert kept, "an optimizer was kept and found again"
    trial.attributes.memory["optuna"] = {kept: pickle.dumps(Command()).hex()}
    with pytest.raises(Damaged, match="which CMA-ES never writes"):
        sampler.propose(study)


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """A server of somebody, and what it is sent."""
    heard: list[bytes] = []

    def hear() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("where", ["environment", "settings"])
def test_a_key_goes_to_the_server_that_the_user_named_and_to_no_other(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    if where == "environment":
        monkeypatch.setenv("WANDB_API_KEY", KEY)
    else:
        (tmp_path / "settings").write_text(f"[default]\nbase_url = https://w.example.org\napi_key = {KEY}\n")
    with listening() as (url, heard):
        run_dir = a_run(tmp_path / "theirs", tracking={"base_url": url, "entity": None})
        assert main(["publish", str(run_dir), "--trust"]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert not heard and f"is not sent to {url}, which is set in this run" in said and KEY not in said
        assert f"no key is found for {url}" in said
        (tmp_path / "netrc").write_text(f"machine {url.partition('//')[2]}\nlogin user\npassword {KEY[::-1]}\n")
        assert main(["publish", str(run_dir)]) == 1, "it refuses all"
        assert heard and "your key" not in capsys.readouterr().out
        assert sent(heard) == {KEY[::-1]}, "one that is known to be of this server"
        (tmp_path / "netrc").unlink()
        heard.clear()
        assert main(["publish", str(run_dir), "--tracking.base_url", url]) == 1
        assert sent(heard) == {KEY}
        assert f"your key goes to {url} (tracking.base_url)" in " ".join(capsys.readouterr().out.split())


def test_settings_of_wandb_that_lie_in_a_run_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run_dir = a_run(tmp_path / "theirs")
    (run_dir / "wandb").mkdir(exist_ok=True)
    monkeypatch.chdir(run_dir)
    with listening() as (mine, heard), listening() as (theirs, overheard):
        (tmp_path / "settings").write_text(f"[default]\nbase_url = {mine}\n")
        (run_dir / "wandb" / "settings").write_text(f"[default]\nbase_url = {theirs}\n")
        assert main(["publish", "."]) == 1
        assert sent(heard) == {KEY} and not overheard, capsys.readouterr()


def sent(heard: list[bytes]) -> set[str]:
    """The keys in HTTP requests."""
    found = re.findall(rb"authorization: basic (\S+)", b"".join(heard), re.IGNORECASE)
    return {base64.b64decode(credentials).decode().partition(":")[2] for credentials in found}
