"""A real cluster: `ray up` of the on-premises file on hosts of our own, a search over them, and what dies meanwhile.

Not in `make test`; `make test-cluster` runs it.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corpora import write_digits
from hosts import ROOT, Hosts, missing
from test_run import assert_sound, write_config

from search.study import Study

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
RAY = [str(Path(sys.executable).with_name("ray"))]


class Cluster:
    """Three hosts under `ray up`: a head and two workers, each with one pretended GPU."""

    def __init__(self, folder: Path, hosts: Hosts):
        self.hosts, self.file = hosts, folder / "cluster.yaml"
        shipped = yaml.safe_load((ROOT / "configs" / "clusters" / "on-premises.yaml").read_text())
        self.token, token = os.urandom(32).hex(), folder / "auth_token"
        token.write_text(self.token)
        shipped["cluster_name"] = "babeltune-test"  # Ray notes by name, in /tmp/ray, what is up
        shipped["provider"] |= {"head_ip": hosts.address(0), "worker_ips": [hosts.address(1), hosts.address(2)]}
        shipped["auth"] = {"ssh_user": "root", "ssh_private_key": str(hosts.key)}
        shipped["file_mounts"] = {"~/babeltune": str(ROOT), "~/.ray/auth_token": str(token)}
        # There is no network to install from: the environment is seen by all hosts.
        shipped["setup_commands"][0] = f"ln -sfn {Path(sys.prefix)} ~/babeltune/.venv"
        shipped["head_start_ray_commands"][-1] += " --object-store-memory=200000000"
        shipped["worker_start_ray_commands"][-1] += " --num-cpus=1 --num-gpus=1 --object-store-memory=200000000"
        self.file.write_text(yaml.safe_dump(shipped))

    def ray(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*RAY, verb, *arguments], capture_output=True, text=True, timeout=250)

    def wait_for_gpus(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while not re.search(rf"/{count}\.0 GPU", self.on_head("ray status").stdout):
            assert time.monotonic() < deadline
            time.sleep(1)

    def on_head(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.hosts.ssh(0, f"bash -ic {command!r}", check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    with Hosts(folder, 3) as hosts:
        cluster = Cluster(folder, hosts)
        up = cluster.ray("up", "--yes", "--no-config-cache", str(cluster.file))
        assert up.returncode == 0, up.stderr
        cluster.wait_for_gpus(2)
        yield cluster
        down = cluster.ray("down", "--yes", str(cluster.file))
        assert down.returncode == 0, down.stderr
        assert cluster.on_head("ray status").returncode != 0


def test_a_search_over_hosts_one_of_which_dies_equals_one_in_peace(cluster: Cluster, folder: Path) -> None:
    """No crash is allowed (max_retries: 0), so a lost host that counted as one would fail its trial."""
    settings = {"sampler": "grid", "scheduler": "none", "trials": None, "max_retries": 0}
    space = {"model.d_model": {"values": [16, 32]}, "model.dropout": {"values": [0.0, 0.1]}}
    data = {"path": str(write_digits(folder / "long", train=6000))}
    config = write_config(folder, data=data, space=space, search=settings, finals={"top": 2, "seeds": 0})
    run_dir, shown = folder / "runs" / "killed", folder / "shown"
    command = f"cd babeltune && RAY_worker_niceness=0 TERM=dumb python search/run.py --cluster auto --config {config}"
    with shown.open("wb") as out:
        driver = subprocess.Popen(
            [*RAY, "exec", str(cluster.file), f"{command} --name killed"], stdout=out, stderr=subprocess.STDOUT
        )
    wait_for_reports(run_dir, 2, driver)
    cluster.hosts.kill(2)
    assert driver.wait(timeout=250) == 0, shown.read_text()
    assert_sound(run_dir, trials=4)
    trials = Study(run_dir / "study.db", "search", "maximize").trials.values()
    assert sum(trial.attrs.get("machines_lost", 0) for trial in trials) == 1
    assert not any("crashes" in trial.attrs for trial in trials)
    assert "node 10.77.0.13: 1 CPU, 1 GPU" in shown.read_text() and "Traceback" not in shown.read_text()
    written = b"".join(file.read_bytes() for file in run_dir.rglob("*") if file.is_file())
    assert cluster.token.encode() not in written and cluster.token not in shown.read_text()

    alone = cluster.on_head(f"{command} --name peace --search.concurrency 1")
    assert alone.returncode == 0, alone.stdout
    peace = Study(folder / "runs" / "peace" / "study.db", "search", "maximize").trials.values()
    assert [(t.params, t.scores) for t in trials] == [(t.params, t.scores) for t in peace]


def test_a_folder_that_is_not_shared_is_refused(cluster: Cluster, folder: Path) -> None:
    refused = cluster.on_head("cd babeltune && python search/run.py --cluster auto --output_dir /tmp/alone")
    assert refused.returncode == 2
    assert "cluster: node 10.77.0.12: output_dir /tmp/alone is not there; mount the shared folder" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_nobody_joins_without_the_token(cluster: Cluster) -> None:
    stranger = cluster.on_head(f"RAY_AUTH_TOKEN={'0' * 64} ray status")
    assert stranger.returncode != 0 and "AuthenticationError" in stranger.stderr + stranger.stdout


def test_a_host_that_comes_back_is_taken_in_again(cluster: Cluster) -> None:
    cluster.hosts.start(2)
    cluster.wait_for_gpus(2)


def wait_for_reports(run_dir: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    journal, deadline = run_dir / "trials.jsonl", time.monotonic() + 200
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= count):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
