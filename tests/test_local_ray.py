"""The Ray that a search starts: nobody else on the machine gets in, and nothing of it stays behind."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

import search.cluster.local_ray as local_ray_module
from search.cluster.local_ray import local_ray
from search.cluster.starting import failures_in_words
from search.cluster.tokens import open_clusters
from trainables.base.errors import UserError
from trainables.base.ray_internals import (
    answers,
    dead_processes,
    draining_nodes,
    processes,
    running_clusters,
    session_folder,
    shows_token,
)
from trainables.base.temporary import abandoned, temporary_folder

NOBODY = 65534
# What another user tries, and what it gets. It imports as root, as Python may lie in a home that is closed.
STRANGER = """
import os, sys
folder, pid, gcs, user = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
import ray
from ray._raylet import GcsClient

def attempt(name, call):
    try:
        got = "done", call()
    except Exception as error:
        got = type(error).__name__, str(error)
    print(name, *got, sep=": ")

os.setgroups([]); os.setgid(user); os.setuid(user)
attempt("list the folder", lambda: os.listdir(folder))
attempt("write there", lambda: open(folder + "/s/mine", "w"))
attempt("read the token", lambda: open(f"/proc/{pid}/environ").read())
attempt("stop", lambda: os.kill(pid, 15))
attempt("read the state", lambda: GcsClient(address=gcs).internal_kv_get(b"anything", timeout=5))
"""


@pytest.fixture(scope="module")
def own_ray() -> Iterator[dict[str, str]]:
    """A Ray in a hostile environment: its folder, the process id of its raylet, its address."""
    hostile = {"RAY_AUTH_MODE": "disabled", "RAY_grpc_enable_http_proxy": "1", "http_proxy": "http://127.0.0.1:7"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hostile.items():
            patch.setenv(name, value)
        with local_ray(1):
            yield {
                "folder": str(Path(session_folder()).parents[1]),
                "pid": str(processes("raylet")[0]),
                "gcs": ray.get_runtime_context().gcs_address,
            }
        assert {name: os.environ.get(name) for name in hostile} == hostile
        assert not os.environ.get("RAY_AUTH_TOKEN")


def test_it_runs_whatever_the_environment_says(own_ray: dict[str, str]) -> None:
    assert ray.get(ray.remote(lambda: 7).remote()) == 7
    assert shows_token() and own_ray["gcs"] not in open_clusters()
    assert Path(own_ray["folder"]) not in abandoned()


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("draining_nodes", lambda own: draining_nodes() == set()),
        ("dead_processes", lambda own: dead_processes() == []),
        ("processes", lambda own: [len(processes(kind)) for kind in ("raylet", "gcs_server", "none")] == [1, 1, 0]),
        ("session_folder", lambda own: {path.name for path in Path(session_folder()).iterdir()} >= {"sockets", "logs"}),
        ("running_clusters", lambda own: own["gcs"] in running_clusters()),
        ("answers", lambda own: answers(own["gcs"])),
    ],
)
def test_what_is_used_of_ray_though_it_is_not_public(
    name: str, holds: Callable[[dict[str, str]], bool], own_ray: dict[str, str]
) -> None:
    assert holds(own_ray), name


def test_ray_prints_nothing_of_what_dies(own_ray: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    ray._private.worker.print_to_stdstream({"lines": ["dead"], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert "dead" not in capsys.readouterr().out


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize(
    ("mode", "right", "answer"),
    [("disabled", False, "AuthenticationError"), ("token", False, "AuthenticationError"), ("token", True, "done")],
)
def test_another_user_can_neither_enter_nor_read_nor_stop_it_without_its_token(
    mode: str, right: bool, answer: str, own_ray: dict[str, str], tmp_path: Path
) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    token = os.environ["RAY_AUTH_TOKEN"] if right else "0" * 64
    tried = subprocess.run(
        [sys.executable, "-P", "-c", STRANGER, *own_ray.values(), str(NOBODY)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_AUTH_TOKEN": token, "RAY_AUTH_MODE": mode},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    answers = [line.split(": ")[:2] for line in tried.stdout.splitlines() if ": " in line]
    refused = dict.fromkeys(("list the folder", "write there", "read the token", "stop"), "PermissionError")
    assert dict(answers) == {**refused, "read the state": answer}, tried.stdout
    assert ray.get(ray.remote(lambda: 7).remote()) == 7


def test_a_long_tmpdir_is_no_hindrance_and_no_folder_at_all_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with temporary_folder(local_ray_module.short_folder()) as folder:
        assert len(str(folder)) < 40
    monkeypatch.setattr("search.cluster.local_ray.roots", lambda: [long])
    with pytest.raises(UserError, match=r"TMPDIR: .* set TMPDIR to a folder with a short path"), local_ray(1):
        pass


def test_a_ray_that_does_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**settings: object) -> None:
        raise RuntimeError("The current node timed out\n  during startup")

    monkeypatch.setattr("search.cluster.local_ray.start_ray", fail)
    sentence = "Ray does not start here: The current node timed out during startup"
    with pytest.raises(UserError, match=sentence), local_ray(1):
        pass


def test_a_ray_that_fails_later_is_a_sentence_and_a_fault_of_ours_is_not() -> None:
    sentence = r"Ray: .* The driver is gone.*; nothing is lost: fix it, then resume"
    with pytest.raises(UserError, match=sentence), failures_in_words():
        raise ray.exceptions.ActorUnavailableError("The driver is gone", None)
    with pytest.raises(UserError, match="Ray: unexpected: 1 worker was killed"), failures_in_words():  # as Tune does it
        try:
            raise ray.exceptions.OutOfMemoryError("1 worker was killed")  # type: ignore[no-untyped-call]
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"unexpected: {error}") from error
    with pytest.raises(RuntimeError, match="ours"), failures_in_words():
        raise RuntimeError("ours")
    with pytest.raises(ray.exceptions.RayTaskError), failures_in_words():
        raise ray.exceptions.RayTaskError("call", "Traceback", ValueError("ours"))  # type: ignore[no-untyped-call]


def test_a_ray_that_never_answers_ends_the_program() -> None:
    script = (
        "import time, ray\nfrom search.cluster import starting\n"
        "starting.START_SECONDS, ray.init = 0.2, lambda **_: time.sleep(60)\nstarting.start_ray()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1 and ended.stderr == "Ray has not started within 0.2 s; nothing is lost\n"
