"""Ray on this machine for one search, or a running cluster that the search joins; and the slots there are."""

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

import model
import search
import trainables
from search.experiment import Experiment, SearchConfig
from search.node_check import NodeFacts, SharedToken, find_faults, inspect_node, list_sizes
from trainables.config import PHRASEBOOK, DataConfig
from trainables.corpus import find_files
from trainables.errors import UserError
from trainables.files import make_folder

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
NODE_SECONDS = 120  # for a node to start a process and look at itself
GOING_SECONDS = 5.0


@dataclass(frozen=True)
class Slots:
    """How many trials run at a time, and what each may use."""

    count: int
    gpus: float  # of one trial


def find_slots(experiment: Experiment, console: Console) -> Slots:
    """What this machine, or the cluster, offers. Raises UserError for a cluster that can't run the search."""
    if experiment.cluster is None:
        return machine_slots(experiment.search)
    with joined_ray(experiment.cluster):
        nodes = _nodes()
        _check_nodes(nodes, experiment, console)
    return cluster_slots(experiment.search, [node["Resources"] for node in nodes])


def machine_slots(settings: SearchConfig) -> Slots:
    """A trial a GPU where there are GPUs, else a one-thread trial a core."""
    gpus = torch.cuda.device_count()
    each = (1.0 if gpus else 0.0) if settings.gpus_per_trial == "auto" else settings.gpus_per_trial
    if settings.concurrency != "auto":
        return Slots(settings.concurrency, each)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Slots(max(1, int(gpus / each)) if each else cores, each)


def cluster_slots(settings: SearchConfig, nodes: Sequence[dict[str, float]]) -> Slots:
    """The same over nodes, given by their resources; one without CPUs takes no trial. Raises UserError where
    nothing is there to count, as in a cluster that starts its workers on demand."""
    workers = [node for node in nodes if node.get("CPU", 0) >= 1]
    if settings.gpus_per_trial == "auto" and not workers:
        raise UserError(
            "search.gpus_per_trial: auto, but no worker of the cluster runs yet; say what a trial takes (1, or 0 for "
            "CPUs), and workers that have it are started"
        )
    gpus = any(node.get("GPU", 0) for node in workers)
    each = (1.0 if gpus else 0.0) if settings.gpus_per_trial == "auto" else settings.gpus_per_trial
    if settings.concurrency != "auto":
        return Slots(settings.concurrency, each)
    count = sum(int(min(node["CPU"], node.get("GPU", 0) / each) if each else node["CPU"]) for node in workers)
    if not count:
        raise UserError(
            f"search.concurrency: auto, but no running node of the cluster can take a trial of {each:g} GPU and a CPU; "
            "give a number: workers for so many trials are started"
        )
    return Slots(count, each)


def running_ray(cluster: str | None, slots: Slots) -> AbstractContextManager[None]:
    """Ray for as long as the block runs."""
    return local_ray(slots) if cluster is None else joined_ray(cluster)


@contextmanager
def local_ray(slots: Slots) -> Iterator[None]:
    """Ray on this machine, started for the block, even where another runs."""
    with _without_a_way_out():
        _init(address="local", num_cpus=slots.count, include_dashboard=False, runtime_env={"env_vars": ONE_THREAD})
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """A running cluster, to whose nodes the packages of this project travel. Raises UserError."""
    packages = [str(Path(str(package.__file__)).parent) for package in (model, trainables, search)]
    try:
        if address != "auto":
            _reach(address)
        _init(address=address, runtime_env={"py_modules": packages, "env_vars": ONE_THREAD})
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"cluster: {address} can't be joined: {reason}; start the search on the head node of a running cluster, as "
            "docs/cluster.md shows"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError at once where nobody listens, for which Ray would wait for minutes."""
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=10).close()


def machine_is_gone(address: str) -> bool:
    """Whether the cluster has lost the node, or does within GOING_SECONDS: a machine that is taken away ends its
    processes first. Never for the driver's own."""
    if address == ray.util.get_node_ip_address():  # type: ignore[no-untyped-call]
        return False
    deadline = time.monotonic() + GOING_SECONDS
    while any(node["NodeManagerAddress"] == address for node in _nodes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _nodes() -> list[dict[str, Any]]:
    """Those that live."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _init(**settings: Any) -> None:
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    logging.getLogger("ray").setLevel(logging.ERROR)


@contextmanager
def _without_a_way_out() -> Iterator[None]:
    """Processes that start here send HTTP to a port where nothing listens: even with usage statistics off, one of
    Ray's asks the metadata services of three clouds where it runs."""
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    before = {name: os.environ[name] for name in nowhere if name in os.environ}
    os.environ |= nowhere
    try:
        yield
    finally:
        for name in nowhere:
            del os.environ[name]
        os.environ |= before


def _check_nodes(nodes: list[dict[str, Any]], experiment: Experiment, console: Console) -> None:
    """Let each node look at itself and tell the user. Raises UserError with a line for each fault."""
    folder = Path(experiment.output_dir)
    make_folder(folder)
    sizes = list_sizes(_files_before_finals(experiment.data))
    inspect = ray.remote(num_cpus=0)(inspect_node)
    faults = []
    with SharedToken(folder) as token:
        asked = [
            inspect.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                str(token.file), token.answer(index), sizes
            )
            for index, node in enumerate(nodes)
        ]
        driver = inspect_node(str(token.file), token.answer(len(nodes)), sizes)
        for index, (node, answer) in enumerate(zip(nodes, asked, strict=True)):
            where, cpus, gpus = node["NodeManagerAddress"], *(node["Resources"].get(key, 0) for key in ("CPU", "GPU"))
            try:
                facts: NodeFacts = token.as_answered(ray.get(answer, timeout=NODE_SECONDS), index)
            except ray.exceptions.RayError as error:
                faults.append(f"node {where}: can't be looked at: {' '.join(str(error).split())[-300:]}")
                continue
            wrong, notes = find_faults(facts, driver, gpus)
            faults += [f"node {where}: {fault}" for fault in wrong]
            free = min(facts.free_gib.values())
            console.print(f"node {where}: {cpus:g} CPU, {gpus:g} GPU, {free:.0f} GiB free", highlight=False)
            for note in notes:
                console.print(f"warning: node {where}: {note}", style="yellow", highlight=False, soft_wrap=True)
    if faults:
        raise UserError("\n".join(f"cluster: {fault}" for fault in faults))


def _files_before_finals(data: DataConfig) -> list[Path]:
    if data.path == PHRASEBOOK:
        return []
    return [file for split in (data.train, data.valid) for file in find_files(data, split)]
