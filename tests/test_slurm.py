"""The scripts for Slurm and SkyPilot with stubs: they start a search, or say within a minute what did not start."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
import yaml

from search.cluster.own_address import free_port, own_address

SCRIPT = Path(__file__).parents[1] / "configs" / "clusters" / "slurm.sh"
STUBS = {  # in place of Slurm and Ray: what they are asked goes to calls.txt
    "scontrol": 'printf "%s\\n" $SLURM_JOB_NODELIST',
    "srun": """node=$3
node=${node#--nodelist=}
while [[ $1 == --* ]]; do shift; done
NODE=$node exec "$@"
""",
    "ray": """if [[ $1 == status ]]; then
  [[ -e $CALLS/head ]] || exit 1
  for up in $CALLS/head $CALLS/node-*; do [[ -e $up ]] && echo " 1 node_${up##*/}"; done
  exit 0
fi
echo "ray $*" >> "$CALLS/calls.txt"
case "$FAULT" in
  "ends on $NODE") echo "port is taken on $NODE"; exit 1 ;;
  "is silent on $NODE") ;;
  *) if [[ $2 == --head ]]; then touch "$CALLS/head"; else touch "$CALLS/node-$NODE"; fi ;;
esac
exec sleep 60""",
    "python": """case "$*" in
  -c*) echo token ;;
  "-m search.cluster.own_address"*)
    [[ $FAULT == address ]] && { echo "own_address: n2 is only reached from 127.0.1.1" >&2; exit 1; }
    echo "10.0.0.1:4711" ;;
  *) echo "python $*" >> "$CALLS/calls.txt"
    if [[ $FAULT == term ]]; then
      trap 'echo interrupted >> "$CALLS/calls.txt"; exit 130' TERM
      for i in {1..100}; do sleep 0.1; done
    fi
    [[ $FAULT != search ]] || exit 3 ;;
esac""",
}


def submit(folder: Path, fault: str) -> "subprocess.Popen[str]":
    """The Slurm script on two nodes, n1 and n2, with a fault."""
    stubs = folder / ".venv" / "bin"
    stubs.mkdir(parents=True)
    (stubs / "activate").write_text(f'PATH="{stubs}:$PATH"\n')
    for name, script in STUBS.items():
        (stubs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (stubs / name).chmod(0o755)
    environment = {
        **os.environ,
        **{"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_NODELIST": "n1 n2", "CALLS": str(folder), "FAULT": fault},
        **{"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "8", "START_SECONDS": "3"},
    }
    return subprocess.Popen(
        ["bash", str(SCRIPT), "--name", "first"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("none", 0, ""),
        ("search", 3, ""),
        ("ends on n1", 1, "Ray ended on n1 as it started:\nport is taken on n1"),
        ("is silent on n1", 1, "Ray has not started on n1 in 3 s"),
        ("ends on n2", 1, "Ray ended on n2 as it started:\nport is taken on n2"),
        ("is silent on n2", 1, "Ray has not started on n2 in 3 s"),
        ("address", 1, "n2 is only reached from 127.0.1.1"),
    ],
)
def test_the_slurm_script_searches_or_says_what_did_not_start(
    fault: str, status: int, said: str, tmp_path: Path
) -> None:
    job = submit(tmp_path, fault)
    _, errors = job.communicate(timeout=30)
    assert job.returncode == status and said in errors
    calls = (tmp_path / "calls.txt").read_text() if (tmp_path / "calls.txt").exists() else ""
    assert ("python search/run.py --name first --cluster 10.0.0.1:4711" in calls) == (status in (0, 3))
    if fault == "none":
        assert "ray start --head --node-ip-address=10.0.0.1 --port=4711 --include-dashboard=false --num-gpus=4" in calls
        assert "ray start --address=10.0.0.1:4711 --num-gpus=4 --num-cpus=8 --block" in calls


def test_the_slurm_script_hands_the_time_limit_on_and_waits(tmp_path: Path) -> None:
    job = submit(tmp_path, "term")
    deadline = time.monotonic() + 20
    while "python search" not in ((tmp_path / "calls.txt").read_text() if (tmp_path / "calls.txt").exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=20)
    assert job.returncode == 130 and "interrupted" in (tmp_path / "calls.txt").read_text()


def test_the_address_of_a_head_is_one_that_its_peers_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1 is only reached from 127\.0\.0\.1"):
        own_address(["127.0.0.1"])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("127.0.1.1", 0)), (0, 0, 0, "", ("10.1.2.3", 0))]
    )
    assert own_address([]) == "10.1.2.3"
    first, second = socket.socket(), free_port()
    with first:
        first.bind(("", second))  # nobody had it


SKY = yaml.safe_load((SCRIPT.parent / "sky.yaml").read_text())


@pytest.mark.parametrize(("rank", "known"), [("0", False), ("0", True), ("1", False)])
def test_a_node_of_skypilot_leads_or_joins(rank: str, known: bool, tmp_path: Path) -> None:
    """Its script with stubs: the first node searches, or resumes what the storage has; the others train."""
    stubs = tmp_path / ".venv" / "bin"
    stubs.mkdir(parents=True)
    (stubs / "activate").write_text(f'PATH="{stubs}:$PATH"\n')
    (stubs / "ray").write_text(
        '#!/bin/bash\n[[ $1 == status ]] && { printf " 1 node_a\\n 1 node_b\\n"; exit; }\n'
        f'echo "ray $*" >> {tmp_path}/calls\n'
    )
    fetched = "exit 0" if known else "exit 2"
    (stubs / "python").write_text(
        f'#!/bin/bash\n[[ $2 == fetch ]] && {fetched}\necho "python $*" >> {tmp_path}/calls\n'
    )
    for stub in ("ray", "python"):
        (stubs / stub).chmod(0o755)
    with socket.socket() as port:  # as the head, for which the others wait
        port.bind(("127.0.0.1", 0))
        port.listen()
        script = SKY["run"].replace("port=6399", f"port={port.getsockname()[1]}")
        given = {"SKYPILOT_NODE_RANK": rank, "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_IPS": "127.0.0.1\n10.0.0.2"}
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env={**os.environ, **SKY["envs"], **given}, timeout=30, text=True
        )
    assert done.returncode == 0
    calls = (tmp_path / "calls").read_text()
    searched = {
        (
            "0",
            False,
        ): "python search/run.py --config multi30k --data.path corpus --name first --storage s3://BUCKET/runs",
        ("0", True): "python search/run.py resume s3://BUCKET/runs/first --trust --cluster 127.0.0.1:",
    }
    assert ("ray start --head" in calls) == (rank == "0")
    assert searched[rank, known] in calls if rank == "0" else "python" not in calls and "--block" in calls


def test_skypilot_takes_the_file() -> None:
    schemas = pytest.importorskip("sky.utils.schemas", reason="skypilot is not installed")
    jsonschema.validate(SKY, schemas.get_task_schema())
