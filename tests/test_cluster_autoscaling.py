"""The machines of cluster.yaml come when trials wait and leave when they are idle, with Ray's pretended provider.

Not in `make test`; `make test-cluster` runs it.
"""

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from hosts import ROOT, Hosts, missing
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE
from test_run import assert_sound, write_config

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
RAY = Path(sys.executable).with_name("ray")
NO_COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
START = (
    "RAY_FAKE_CLUSTER=1 AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_enable_autoscaler_v2=1 "
    f"RAY_CLOUD_INSTANCE_ID={FAKE_HEAD_NODE_ID} RAY_OVERRIDE_NODE_ID_FOR_TESTING={FAKE_HEAD_NODE_ID} "
    f"{RAY} start --head --num-cpus=0 --num-gpus=0 --include-dashboard=false --object-store-memory=100000000"
)


def pretended(folder: Path) -> Path:
    """cluster.yaml with machines that are processes of one host, and idle for seconds rather than minutes."""
    shipped = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    kinds: dict[str, Any] = {}
    for name, kind in shipped["available_node_types"].items():
        resources = {**kind["resources"], "object_store_memory": 100_000_000}
        kinds[FAKE_HEAD_NODE_TYPE if name == "head" else name] = {**kind, "resources": resources, "node_config": {}}
    provider = {
        "type": "external",  # Ray's packages lack the defaults of its own name for it
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "launch_multiple": True,
        "head_node_id": FAKE_HEAD_NODE_ID,
        "disable_node_updaters": True,
    }
    tree = {
        "cluster_name": "babeltune-pretended",
        "max_workers": shipped["max_workers"],
        "idle_timeout_minutes": 0.1,
        "provider": provider,
        "available_node_types": kinds,
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        **{f"{kind}_commands": [] for kind in NO_COMMANDS},
    }
    file = folder / "pretended.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def count_gpus(hosts: Hosts) -> float:
    """The machines that live."""
    status = hosts.ssh(0, f"{RAY} status").stdout
    found = re.search(r"/([\d.]+) GPU", status)
    return float(found[1]) if found else 0.0


def test_demand_brings_machines_and_idleness_takes_them_away(tmp_path: Path) -> None:
    space = {"model.d_model": {"values": [16, 32]}, "model.dropout": {"values": [0.0, 0.1]}}
    search = {"sampler": "grid", "scheduler": "none", "trials": None}
    config = write_config(tmp_path, space=space, search=search, finals={"top": 2, "seeds": 0})
    command = f"cd {ROOT} && TERM=dumb {sys.executable} search/run.py --config {config} --name scaled --cluster auto"
    with Hosts(tmp_path, 1) as hosts, ThreadPoolExecutor() as pool:
        hosts.ssh(0, f"{START} --autoscaling-config={pretended(tmp_path)}")
        assert count_gpus(hosts) == 0
        refused = hosts.ssh(0, command, check=False)
        assert refused.returncode == 2 and "no worker of the cluster runs yet" in refused.stderr

        searching = pool.submit(
            hosts.ssh, 0, f"{command} --search.concurrency 2 --search.gpus_per_trial 1", check=False
        )
        most = 0.0
        while not searching.done():
            most = max(most, count_gpus(hosts))
            time.sleep(1)
        done = searching.result()
        assert done.returncode == 0, done.stdout + done.stderr
        assert_sound(tmp_path / "runs" / "scaled", trials=4)
        assert most >= 2, "a machine for each of two trials at a time"  # scoring may ask for one while those are idle

        deadline = time.monotonic() + 120
        while count_gpus(hosts) > 0:
            assert time.monotonic() < deadline, hosts.ssh(0, f"{RAY} status").stdout
            time.sleep(1)
