"""Tells Ray that a node will end: nothing more starts there, and its trials continue elsewhere after their epochs.

python -m search.cluster.draining HEAD NODE_NAME SECONDS    for a node that was started with --node-name
"""

import os
import subprocess
import sys
from pathlib import Path


def drain(seconds: float, message: str, options: tuple[str, ...] = ()) -> None:
    """Drain the node of this machine, or another one by options of `ray drain-node`. Raises CalledProcessError."""
    ray = Path(sys.executable).with_name("ray")
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", message]
    # A Ray in a private folder is found by its processes, but only if its address is given; otherwise a new Ray starts.
    environment = {"RAY_ADDRESS": "auto", **os.environ}
    command = [str(ray), "drain-node", *options, *reason, "--deadline-remaining-seconds", str(int(seconds))]
    subprocess.run(command, check=True, env=environment)


def find_node(address: str, name: str) -> str:
    """The id of the node with that name. Raises LookupError."""
    import ray

    ray.init(address=address, log_to_driver=False)
    try:
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            if node["Alive"] and node.get("NodeName") == name:
                return str(node["NodeID"])
    finally:
        ray.shutdown()
    raise LookupError(f"{address} has no node {name}")


if __name__ == "__main__":
    head, node_name, left = sys.argv[1:]
    where = ("--address", head, "--node-id", find_node(head, node_name))
    drain(float(left), "the machine's time ends", where)
