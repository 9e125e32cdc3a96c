"""Finds out how many trials can run at a time, and what each of them may use."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from search.cluster.joining import ask_workers, check_nodes, joined_ray, living_nodes
from search.cluster.packing import largest_models, share_of_gpu
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from search.settings.problem import find_problem
from search.settings.searching import SearchConfig
from search.settings.wording import count
from trainables.base.config import TrialConfig
from trainables.base.errors import UserError
from trainables.base.log import warn
from trainables.sharing.storage import Storage
from trainables.training.gpu import Need


@dataclass(frozen=True)
class Slots:
    """How many trials run at a time, and what each may use."""

    count: int
    gpus: float  # of one trial

    def runs_each(self, runs: int) -> int:
        """How many of `runs` each slot trains as one computation; 1 without a GPU, or with several GPUs for a trial."""
        return -(-runs // self.count) if 0 < self.gpus <= 1 else 1


def find_slots(experiment: Experiment, console: Console, storage: Storage | None = None) -> Slots:
    """The slots of this machine or of the cluster. Raises UserError for a cluster that can't run the search."""
    if experiment.cluster is None:
        machine, asked = this_machine(), experiment.search.gpus_per_trial
        if asked != "auto" and asked > machine["GPU"]:
            found = count(int(machine["GPU"]), "GPU", "GPUs")
            raise UserError(f"search.gpus_per_trial: {asked:g}, but this machine has {found}; use auto")
        return count_slots(experiment.search, [machine], lambda: _measured_here(experiment, console))
    with joined_ray(experiment.cluster):
        check_nodes(living_nodes(), experiment, storage)
        nodes = living_nodes()  # again, as a node may have left during the check
        resources = [node["Resources"] for node in nodes]
        return count_slots(experiment.search, resources, lambda: _measured_there(experiment, nodes, storage, console))


def this_machine() -> dict[str, float]:
    """The resources of this machine, by Ray's names."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"CPU": float(cores), "GPU": float(torch.cuda.device_count())}


def count_slots(
    settings: SearchConfig, nodes: Sequence[dict[str, float]], measure: Callable[[], Sequence[Need]]
) -> Slots:
    """The slots of nodes, given by their resources. A trial needs a CPU and does not span nodes.

    With `gpus_per_trial: auto`, as many trials share a GPU as fit by the result of `measure`; without a GPU, each trial
    takes a core. Raises UserError if there is nothing to count, as in a cluster that starts its workers on demand.
    """
    workers = [node for node in nodes if node.get("CPU", 0) >= 1]
    if settings.gpus_per_trial != "auto":
        each = settings.gpus_per_trial
    elif not workers:
        raise UserError(
            "search.gpus_per_trial: auto, but no worker of the cluster runs yet; give a trial's GPUs (such as 1, or "
            "0 for CPUs), so that suitable workers are started"
        )
    else:
        cores = [int(node["CPU"] / node["GPU"]) for node in workers if node.get("GPU", 0)]
        each = share_of_gpu(measure(), min(cores)) if cores else 0.0
    if settings.concurrency != "auto":
        return Slots(settings.concurrency, each)
    count = sum(_slots_of(node, each) for node in workers)
    if not count:
        raise UserError(
            f"search.concurrency: auto, but no running node of the cluster can take a trial of {each:g} GPU and a CPU; "
            "give a number, so that workers for so many trials are started"
        )
    return Slots(count, each)


def _slots_of(node: dict[str, float], each: float) -> int:
    """The number of trials that fit on the node, each with `each` GPU; a share is always of a single GPU."""
    cpus, gpus = int(node["CPU"]), node.get("GPU", 0)
    if not each:
        return cpus
    return min(cpus, int(gpus) * int(1 / each) if each < 1 else int(gpus / each))


def _measured_here(experiment: Experiment, console: Console) -> list[Need]:
    """Measure in a separate process, so that its end frees the GPU."""
    with (
        console.status("measuring the memory of the largest models"),
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        try:
            need = pool.submit(_measure, experiment.problem, largest_models(experiment), experiment.cache).result()
        except BrokenProcessPool:
            warn("one trial for each GPU, as the largest model could not be tried")
            return []
    return [need] if need else []


def _measured_there(
    experiment: Experiment, nodes: list[dict[str, Any]], storage: Storage | None, console: Console
) -> list[Need]:
    """Measure on a GPU of each node, as nodes may have different GPUs."""
    try:
        with console.status("measuring the memory of the largest models on each node"):
            models = largest_models(experiment)
            found = ask_workers(nodes, "GPU", _measure, experiment.problem, models, experiment.cache, storage)
    except UserError as error:
        warn(f"one trial for each GPU, as the largest model could not be tried: {error}")
        return []
    return [need for need in found if need]


def _measure(problem: str, models: list[TrialConfig], cache: Path, storage: Storage | None = None) -> Need | None:
    preparation: Preparation = find_problem(problem).part("preparation")
    return preparation.measure(models, cache, storage)
