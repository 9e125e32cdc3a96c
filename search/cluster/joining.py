"""Joins a running cluster, and checks its nodes."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.local_ray import local_ray
from search.cluster.node_check import NodeFacts, SharedToken, StoredToken, find_faults, inspect_node, list_sizes
from search.cluster.starting import PROCESS, failures_in_words, shortened, start_ray
from search.settings.experiment import Experiment
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.log import say, warn
from trainables.base.ray_internals import draining_nodes, shows_token
from trainables.sharing.storage import Storage

NODE_SECONDS = 120  # for a node to start a process and check itself
GOING_SECONDS = 5.0
Answer = TypeVar("Answer")


@contextmanager
def running_ray(cluster: str | None, slots: int, online: bool) -> Iterator[None]:
    """Run the block with Ray. slots: trials at a time on this machine. online: whether they need the network.

    Raises UserError if Ray fails.
    """
    with local_ray(slots, online) if cluster is None else joined_ray(cluster), failures_in_words():
        yield


@contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """Run the block on a running cluster; Ray sends this project's packages to its nodes. Raises UserError."""
    packages = [str(Path(__file__).parents[2] / name) for name in ("model", "trainables", "search")]
    try:
        if address != "auto":
            _reach(address)
        start_ray(address=address, runtime_env={"py_modules": packages, "env_vars": PROCESS})
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"cluster: {address} can't be joined: {shortened(error)}; start the search on the head node of a running "
            "cluster, as docs/cluster.md shows"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError if nothing listens at the address; Ray itself would wait for minutes."""
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=10).close()


def machine_is_gone(address: str) -> bool:
    """Whether the cluster has lost the node, or loses it within GOING_SECONDS; never true for the driver's own node.

    The wait is needed because a machine that is taken away ends its processes first.
    """
    if address == ray.util.get_node_ip_address():  # type: ignore[no-untyped-call]
        return False
    deadline = time.monotonic() + GOING_SECONDS
    while any(node["NodeManagerAddress"] == address for node in living_nodes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def count_workers() -> int:
    """The number of machines in the cluster that can take trials."""
    return sum(node["Resources"].get("CPU", 0) >= 1 for node in living_nodes())


def living_nodes() -> list[dict[str, Any]]:
    """The entries of `ray.nodes()` that are alive and not drained, as drained machines are about to be taken away."""
    drained = draining_nodes()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"] and node["NodeID"] not in drained]


def ask_workers(
    nodes: list[dict[str, Any]], resource: Literal["CPU", "GPU"], question: Callable[..., Answer], *arguments: Any
) -> list[Answer]:
    """Call `question` on a CPU or GPU of each node with one, in processes that end with the call. Raises UserError."""
    ask = ray.remote(num_cpus=int(resource == "CPU"), num_gpus=int(resource == "GPU"), max_calls=1)(question)
    refs = [
        ask.options(scheduling_strategy=_on(node)).remote(*arguments)
        for node in nodes
        if node["Resources"].get(resource, 0) >= 1
    ]
    try:
        answers: list[Answer] = ray.get(refs)
    except ray.exceptions.RayError as error:
        raise UserError(shortened(error)) from None
    return answers


def _on(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


def check_nodes(nodes: list[dict[str, Any]], experiment: Experiment, storage: Storage | None = None) -> None:
    """Let each node check itself, and print the results. Raises UserError with a line for each fault."""
    if not shows_token():
        warn(
            "the cluster asks for no token: anybody who reaches its head can run code there as you; "
            "docs/cluster.md shows how to make one"
        )
    folder = Path(experiment.output_dir)
    make_folder(folder)
    sizes = {} if storage else list_sizes(experiment.definition.part("preparation").files(experiment.trial))
    inspect = ray.remote(num_cpus=0)(inspect_node)
    faults = []
    with StoredToken(storage.shared) if storage else SharedToken(folder) as token:
        asked = [
            inspect.options(scheduling_strategy=_on(node)).remote(token.place, token.answer(index), sizes)
            for index, node in enumerate(nodes)
        ]
        driver = inspect_node(token.place, token.answer(len(nodes)), sizes)
        for index, (node, answer) in enumerate(zip(nodes, asked, strict=True)):
            where, cpus, gpus = node["NodeManagerAddress"], *(node["Resources"].get(key, 0) for key in ("CPU", "GPU"))
            try:
                facts: NodeFacts = token.as_answered(ray.get(answer, timeout=NODE_SECONDS), index)
            except ray.exceptions.RayError as error:
                if any(other["NodeID"] == node["NodeID"] for other in living_nodes()):
                    faults.append(f"node {where}: can't be checked: {shortened(error)}")
                else:
                    say(f"node {where}: gone")
                continue
            wrong, notes = find_faults(facts, driver, gpus)
            faults += [f"node {where}: {fault}" for fault in wrong]
            free = min(facts.free_gib.values())
            say(f"node {where}: {cpus:g} CPU, {gpus:g} GPU, {free:.0f} GiB free")
            for note in notes:
                warn(f"node {where}: {note}")
    if faults:
        raise UserError("\n".join(f"cluster: {fault}" for fault in faults))
