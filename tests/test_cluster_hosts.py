"""A real cluster: `ray up` of the on-premises file on hosts of our own, a search over them, and what dies meanwhile.

Not in `make test`; `make test-cluster` runs it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from corpora import write_digits
from hosts import OUTSIDE, ROOT, Hosts, missing
from object_store import BUCKET, object_store
from test_run import assert_sound, write_config

from search.record.study import Study
from search.record.trial import StudyTrial
from trainables.sharing.storage import find_place

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
RAY = [str(Path(sys.executable).with_name("ray"))]
SEARCH = "cd babeltune && export RAY_worker_niceness=0 TERM=dumb && python search/run.py"


class Cluster:
    """Three hosts under `ray up`: a head and two workers, each with one pretended GPU."""

    def __init__(self, folder: Path, hosts: Hosts, environment: dict[str, str]):
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
        exports = " ".join(f"{name}={value}" for name, value in environment.items())
        shipped["setup_commands"].append(f"grep -qs AWS ~/.bashrc || echo export {exports} >> ~/.bashrc")
        shipped["head_start_ray_commands"][-1] += " --object-store-memory=200000000"
        shipped["worker_start_ray_commands"][-1] += " --num-cpus=1 --num-gpus=1 --object-store-memory=200000000"
        self.file.write_text(yaml.safe_dump(shipped))

    def up(self) -> None:
        """As documented, for a new cluster and for one that has lost its head."""
        up = self.ray("up", "--yes", "--no-config-cache", str(self.file))
        assert up.returncode == 0, up.stdout + up.stderr
        self.wait_for_gpus(2)

    def lose_head(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill the host of head and driver without warning."""
        self.hosts.kill(0)
        driver.kill()  # the command that had begun it from outside
        driver.wait()

    def ray(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*RAY, verb, *arguments], capture_output=True, text=True, timeout=250)

    def wait_for_gpus(self, count: int) -> None:
        """How many nodes live; `ray status` goes on to count those that vanished."""
        look = "import ray; ray.init('auto', log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()) - 1)"
        (self.file.parent / "look.py").write_text(look)
        deadline = time.monotonic() + 180
        while self.on_head(f"python {self.file.parent}/look.py").stdout.strip() != str(count):
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def start(self, command: str, shown: Path, pid: Path) -> subprocess.Popen[bytes]:
        """`ray exec` of a search, of which the head notes the process id."""
        with shown.open("wb") as out:
            noted = command.replace("python", f"echo $BASHPID > {pid} && exec python", 1)
            return subprocess.Popen([*RAY, "exec", str(self.file), noted], stdout=out, stderr=subprocess.STDOUT)

    def on_head(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.hosts.ssh(0, f"bash -ic {command!r}", check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    with Hosts(folder, 3) as hosts, object_store(OUTSIDE) as reach, pytest.MonkeyPatch.context() as patch:
        for name, value in reach.items():
            patch.setenv(name, value)
        cluster = Cluster(folder, hosts, reach)
        cluster.up()
        yield cluster
        down = cluster.ray("down", "--yes", str(cluster.file))
        assert down.returncode == 0, down.stderr
        assert cluster.on_head("ray status").returncode != 0


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    """No crash is allowed (max_retries: 0), so a lost host or driver that counted as one would fail a trial."""
    settings = {"sampler": "grid", "scheduler": "none", "trials": None, "max_retries": 0}
    space = {"model.d_model": {"values": [16, 32]}, "model.dropout": {"values": [0.0, 0.1]}}
    data = {"path": str(write_digits(folder / "long", train=10_000))}  # lasts until Ray has missed a host
    return write_config(folder, data=data, space=space, search=settings, finals={"top": 2, "seeds": 0})


@pytest.fixture(scope="module")
def peace(cluster: Cluster, folder: Path, config: Path) -> Path:
    """The run directory of the same search, one trial at a time and undisturbed."""
    alone = cluster.on_head(f"{SEARCH} --config {config} --cluster auto --name peace --search.concurrency 1")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    return folder / "runs" / "peace"


def trials_of(run_dir: Path) -> list[StudyTrial]:
    return list(Study(run_dir / "study.db", "search", "maximize").trials.values())


def assert_same(run_dir: Path, peace: Path) -> None:
    """All trials accounted for, none twice; scores and ranking of the search in peace."""
    assert_sound(run_dir, trials=4)
    trials, calm = trials_of(run_dir), trials_of(peace)
    assert [(t.params, t.scores) for t in trials] == [(t.params, t.scores) for t in calm]
    assert not any(trial.attributes.crashes for trial in trials)
    kept = ("rank", "group", "trial", "config", "test_bleu", "test_bleu_ci", "valid_bleu")
    boards = [json.loads((folder / "leaderboard.json").read_text())["ranking"] for folder in (run_dir, peace)]
    first, second = ([{key: entry[key] for key in kept} for entry in board] for board in boards)
    assert first == second


def test_a_search_that_loses_a_host_and_its_driver_equals_one_in_peace(
    cluster: Cluster, folder: Path, config: Path, peace: Path
) -> None:
    run_dir, shown, pid = folder / "runs" / "killed", folder / "shown", folder / "driver"
    driver = cluster.start(f"{SEARCH} --config {config} --cluster auto --name killed", shown, pid)
    wait_for_reports(run_dir, 2, driver)
    cluster.hosts.kill(2)
    cluster.wait_for_gpus(1)  # Ray has noticed; what the lost trial owes is still to come
    cluster.hosts.start(2)
    wait_for_reports(run_dir, count_reports(run_dir) + 1, driver)
    assert cluster.on_head(f"kill -9 {pid.read_text().strip()}").returncode == 0
    assert driver.wait(timeout=60) != 0
    cluster.wait_for_gpus(2)  # the host is taken in again

    resumed = cluster.ray("exec", str(cluster.file), f"{SEARCH} resume {run_dir} --cluster auto")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert_same(run_dir, peace)
    assert sum(trial.attributes.machines_lost for trial in trials_of(run_dir)) == 1
    said = shown.read_text() + resumed.stdout + resumed.stderr
    assert said.count("node 10.77.0.13: 1 CPU, 1 GPU") == 2 and "Traceback" not in said
    written = b"".join(file.read_bytes() for file in run_dir.rglob("*") if file.is_file())
    assert cluster.token.encode() not in written and cluster.token not in said


def test_a_host_that_is_about_to_go_hands_its_trial_on(
    cluster: Cluster, folder: Path, config: Path, peace: Path
) -> None:
    run_dir, shown = folder / "runs" / "drained", folder / "shown-drained"
    cluster.wait_for_gpus(2)
    driver = cluster.start(f"{SEARCH} --config {config} --cluster auto --name drained", shown, folder / "driver")
    wait_for_reports(run_dir, 2, driver)
    told = cluster.hosts.ssh(
        2, "bash -ic 'python -c \"from search.cluster.draining import drain; drain(120, str(1))\"'", check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert driver.wait(timeout=250) == 0, shown.read_text()
    assert_same(run_dir, peace)
    assert sum(trial.attributes.machines_lost for trial in trials_of(run_dir)) == 1


def test_a_search_that_loses_its_head_goes_on_with_a_new_one(
    cluster: Cluster, folder: Path, config: Path, peace: Path
) -> None:
    run_dir, shown = folder / "runs" / "headless", folder / "shown-headless"
    cluster.wait_for_gpus(2)
    driver = cluster.start(f"{SEARCH} --config {config} --cluster auto --name headless", shown, folder / "driver")
    wait_for_reports(run_dir, 3, driver)
    cluster.lose_head(driver)
    cluster.hosts.start(0)
    cluster.up()
    resumed = cluster.ray("exec", str(cluster.file), f"{SEARCH} resume {run_dir} --cluster auto")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert_same(run_dir, peace)


def test_hosts_that_share_no_folder_search_through_a_storage_that_outlives_the_head(
    cluster: Cluster, config: Path, peace: Path, tmp_path: Path
) -> None:
    cluster.wait_for_gpus(2)
    home, storage = cluster.hosts.home(0), f"s3://{BUCKET}/runs"
    settings = yaml.safe_load(config.read_text())
    shutil.copytree(settings["data"]["path"], home / "corpus")  # on the head alone, as is all else
    settings |= {"data": {"path": "~/corpus"}, "output_dir": "runs", "storage": storage}
    (home / "storage.yaml").write_text(yaml.safe_dump(settings))
    command = f"{SEARCH} --config ~/storage.yaml --cluster auto --name stored"
    driver = cluster.start(command, tmp_path / "shown", home / "driver")
    url, deadline = f"{storage}/stored", time.monotonic() + 200
    while not (place := find_place(url)) or (place.read("trials.jsonl") or b"").count(b"\n") < 3:
        assert driver.poll() is None and time.monotonic() < deadline, (tmp_path / "shown").read_text()
        time.sleep(0.2)
    cluster.lose_head(driver)
    shutil.rmtree(home / "babeltune" / "runs")  # as if on a new disk
    cluster.hosts.start(0)
    cluster.up()
    resumed = cluster.ray("exec", str(cluster.file), f"{SEARCH} resume {url} --cluster auto")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert_same(home / "babeltune" / "runs" / "stored", peace)
    stored = find_place(url)
    assert stored and stored.url != place.url, "of the second driver"
    assert stored.read("leaderboard.json") == (home / "babeltune" / "runs" / "stored" / "leaderboard.json").read_bytes()
    assert {key.split("/")[1] for key in stored.find("trials") if key.endswith("state.pt")} == {"0", "1", "2", "3"}
    for worker in (1, 2):
        seen = cluster.hosts.ssh(worker, "find /tmp/babeltune-0 -type f; ls ~").stdout
        assert "corpus.json" in seen and "test." not in seen, "each node has the corpus, without its test split"


def test_a_folder_that_is_not_shared_is_refused(cluster: Cluster, folder: Path) -> None:
    refused = cluster.on_head("cd babeltune && python search/run.py --cluster auto --output_dir /tmp/alone")
    assert refused.returncode == 2
    assert "cluster: node 10.77.0.12: output_dir /tmp/alone is missing there; mount the shared folder" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_nobody_joins_without_the_token(cluster: Cluster) -> None:
    stranger = cluster.on_head(f"RAY_AUTH_TOKEN={'0' * 64} ray status")
    assert stranger.returncode != 0 and "AuthenticationError" in stranger.stderr + stranger.stdout


def test_teardown_ends_the_cluster_after_the_search(cluster: Cluster, folder: Path) -> None:
    config = write_config(folder, search={"trials": 1, "scheduler": "none"}, finals={"top": 1, "seeds": 0})
    assert cluster.on_head("ray status").returncode == 0
    done = cluster.on_head(f"{SEARCH} --config {config} --cluster auto --name last --teardown")
    assert done.returncode == 0 and "the cluster is being ended" in done.stdout, done.stdout + done.stderr
    assert "may still cost" not in done.stdout, done.stdout
    assert (folder / "runs" / "last" / "report.html").exists()
    assert cluster.on_head("ray status").returncode != 0


def count_reports(run_dir: Path) -> int:
    journal = run_dir / "trials.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for_reports(run_dir: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 200
    while count_reports(run_dir) < count:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
