"""`babeltune doctor`: measures this machine in a few seconds, and says what slows it down."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from rich.console import Console
from rich.table import Table

from model.config import Config
from search.commands.lines import say
from search.planning.machine import GIB, available_memory, free_disk
from search.settings.experiment import experiment_class
from search.settings.problem import TRANSLATION
from trainables.base.command_line import parse_config
from trainables.base.files import named_path
from trainables.base.help_pages import Program
from trainables.base.installed import processor, program

if TYPE_CHECKING:  # torch is imported late
    import torch

SECONDS = 0.5  # for each measurement
SIZE = 1024  # rows and columns of the matrices for a core
GPU_SIZE = 8192
TRIAL_GIB = 0.9  # memory of a CPU trial with d_model 256: docs/performance.md
CHECKPOINTS_GIB = 5.0  # disk space for a search with some tens of such trials
SLOW_PATH = 0.7  # below this share of oneDNN's speed, MKL does not use all instructions of the processor
SHARED = 0.7  # below this share of a single core's speed, cores are probably hyperthreads
BUSY = 0.25  # the share of cores that other processes may use without a warning


class Doctoring(Config):
    """The folder to check."""

    output_dir: str = Field("runs", min_length=1, description="where runs will be kept")


@dataclass(frozen=True)
class Gpu:
    """One GPU, with its memory and speed."""

    name: str
    gib: float
    free_gib: float
    tflops: float  # of a bfloat16 matrix product


@dataclass(frozen=True)
class Machine:
    """Facts and measurements of this machine."""

    processor: str
    instructions: str  # the best instruction set that PyTorch found, such as AVX512
    cores: int  # cores that this process may use
    quota: float | None  # CPU time that the container allows, in cores; None without a limit
    load: float  # the mean number of running processes in the last minute
    memory_gib: float
    free_gib: float
    disk_gib: float  # free
    product_gflops: float  # PyTorch's float32 matrix product on a single core
    onednn_gflops: float | None  # the same by oneDNN, which detects the processor's instructions; None without oneDNN
    together_gflops: float  # on each core while all cores work
    bf16_gflops: float  # a bfloat16 product on a single core
    gpus: tuple[Gpu, ...]
    idle_mps: bool  # whether NVIDIA's multi-process service is installed, but does not run
    open_clusters: tuple[str, ...]  # addresses of Ray clusters that ask for no token
    slots: int  # the trials at a time in a search; more may fit if they share a GPU


def main(arguments: list[str], console: Console) -> int:
    """Measure this machine, and print the results. Raises UserError."""
    about = "Measure this machine, and say what slows it down."
    options, _ = parse_config(Doctoring, arguments, Program(program("doctor"), about))
    machine = examine(named_path("--output_dir", options.output_dir))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in describe_machine(machine):
        table.add_row(name, value)
    console.print(table, highlight=False, markup=False)
    obstacles = find_obstacles(machine)
    console.print("\nWhat slows it down:" if obstacles else "\nNothing was found that slows it down.", highlight=False)
    for obstacle in obstacles:
        say(console, f"- {obstacle}")
    return 0


def describe_machine(machine: Machine) -> list[tuple[str, str]]:
    """The facts as rows of name and value."""
    rows = [
        ("processor", f"{machine.processor}, {machine.instructions}"),
        ("cores", f"{machine.cores}; {machine.load:.1f} used by others in the last minute"),
        ("memory", f"{machine.memory_gib:.1f} GiB, {machine.free_gib:.1f} free"),
        ("disk", f"{machine.disk_gib:.1f} GiB free for runs"),
        (
            "matrix product",
            f"{machine.product_gflops:.0f} GFLOP/s on a single core, {machine.together_gflops:.0f} on each core if all "
            f"work (float32, {SIZE} × {SIZE}); {machine.bf16_gflops:.0f} in bfloat16",
        ),
    ]
    for gpu in machine.gpus:
        rows.append(("GPU", f"{gpu.name}, {gpu.gib:.0f} GiB, {gpu.free_gib:.0f} free, {gpu.tflops:.0f} TFLOP/s (bf16)"))
    if not machine.gpus:
        rows.append(("GPU", "none that PyTorch can use"))
    what = "trials or more, as fit into the memory of a GPU," if machine.gpus else "one-thread trials"
    return [*rows, ("a search runs", f"{machine.slots} {what} at a time")]


def find_obstacles(machine: Machine) -> list[str]:
    """Messages on what slows a search down here, or may end it, and what the user can do."""
    found = []
    if machine.onednn_gflops and machine.product_gflops < SLOW_PATH * machine.onednn_gflops:
        found.append(
            f"matrix products reach {machine.product_gflops:.0f} of the {machine.onednn_gflops:.0f} GFLOP/s that a "
            "core can do: PyTorch's MKL does not use all instructions of this processor, as is usual with AMD; "
            'docs/performance.md, "MKL on AMD", says how to change that'
        )
    if machine.load > BUSY * machine.cores:
        found.append(f"other processes use {machine.load:.1f} of {machine.cores} cores, which slows a search down")
    elif machine.together_gflops < SHARED * machine.product_gflops:
        found.append(
            f"if all cores work, each reaches {machine.together_gflops:.0f} instead of {machine.product_gflops:.0f} "
            "GFLOP/s, like hyperthreads: fewer trials at a time (search.concurrency) may be as fast"
        )
    if machine.quota is not None and machine.quota < machine.cores:
        found.append(
            f"the container may use the time of {machine.quota:g} cores, though it sees {machine.cores}: set "
            f"search.concurrency to {max(1, int(machine.quota))}, or raise the limit"
        )
    if not machine.gpus and machine.slots * TRIAL_GIB > machine.free_gib:
        found.append(
            f"{machine.slots} trials take up to {machine.slots * TRIAL_GIB:.0f} GiB at d_model 256, and "
            f"{machine.free_gib:.1f} are free: set search.concurrency to {max(1, int(machine.free_gib / TRIAL_GIB))}"
        )
    if machine.disk_gib < CHECKPOINTS_GIB:
        found.append(f"{machine.disk_gib:.1f} GiB of disk may not hold the checkpoints: choose another output_dir")
    if machine.gpus and machine.idle_mps:
        found.append(
            "trials that share a GPU take turns on it; with NVIDIA's multi-process service they compute at the same "
            "time: start it by `nvidia-cuda-mps-control -d` before the search"
        )
    for address in machine.open_clusters:
        found.append(
            f"the Ray at {address} asks for no token: who reaches it can run code here as its owner; start it with "
            "RAY_AUTH_MODE=token"
        )
    if not machine.gpus and shutil.which("nvidia-smi"):
        found.append("there is an NVIDIA driver, but PyTorch can't use its GPU: install a build of PyTorch with CUDA")
    return found


def examine(output_dir: Path) -> Machine:
    """Examine this machine, and time matrix products on it."""
    import torch
    import torch.nn.functional as F

    from search.cluster.slots import count_slots, this_machine
    from search.cluster.tokens import open_clusters

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory, free = (size / GIB for size in available_memory())
    load = os.getloadavg()[0]  # before our own measurements
    torch.set_num_threads(1)
    left, right = torch.randn(2, SIZE, SIZE)
    alone = min(_timings(lambda: left @ right))
    onednn = None
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        packed_left, packed_right = left.to_mkldnn(), right.to_mkldnn()
        onednn = min(_timings(lambda: F.linear(packed_left, packed_right)))
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        counts = pool.map(lambda _: len(_timings(lambda: left @ right)), range(cores))
    in_bf16 = left.bfloat16(), right.bfloat16()
    flop = 2 * SIZE**3 / 1e9
    return Machine(
        processor=processor(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        cores=cores,
        quota=_quota(),
        load=load,
        memory_gib=memory,
        free_gib=free,
        disk_gib=free_disk(output_dir) / GIB,
        product_gflops=flop / alone,
        onednn_gflops=flop / onednn if onednn else None,
        together_gflops=flop * sum(counts) / cores / SECONDS,
        bf16_gflops=flop / min(_timings(lambda: in_bf16[0] @ in_bf16[1])),
        gpus=tuple(examine_gpu(torch.device("cuda", index)) for index in range(torch.cuda.device_count())),
        idle_mps=shutil.which("nvidia-cuda-mps-control") is not None and not (_mps_folder() / "control").exists(),
        open_clusters=tuple(open_clusters()),
        slots=count_slots(experiment_class(TRANSLATION).model_validate({}).search, [this_machine()], list).count,
    )


def _timings(call: Callable[[], object]) -> list[float]:
    """The seconds of each of as many calls as fit into SECONDS, after one for warming up."""
    call()
    times = [time.perf_counter()]
    while times[-1] < times[0] + SECONDS:
        call()
        times.append(time.perf_counter())
    return [later - earlier for earlier, later in pairwise(times)]


def examine_gpu(device: "torch.device") -> Gpu:
    """The name and memory of a GPU, and the speed of a matrix product on it."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    left, right = torch.randn(2, GPU_SIZE, GPU_SIZE, device=device, dtype=torch.bfloat16)

    def multiply() -> None:
        left @ right
        torch.cuda.synchronize(device)

    rate = 2 * GPU_SIZE**3 / min(_timings(multiply))
    return Gpu(torch.cuda.get_device_name(device), total / GIB, free / GIB, rate / 1e12)


def _mps_folder() -> Path:
    """The folder of NVIDIA's multi-process service."""
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))


def _quota() -> float | None:
    """The CPU time that the container's cgroup (version 2) allows, in cores; None without a limit."""
    with suppress(OSError, ValueError):
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(allowed) / int(period)  # ValueError for "max"
    return None
