"""The doctor on this machine, on one whose MKL is made to take its slow path, and on machines that are made up."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search.commands.doctor import Gpu, Machine, describe_machine, find_obstacles

COMMAND = [sys.executable, str(Path(__file__).parents[1] / "search" / "run.py"), "doctor"]
SOUND = Machine("A Processor", "AVX2", 8, None, 0.1, 64.0, 60.0, 500.0, 100.0, 100.0, 95.0, 90.0, (), False, (), 8)
GPU = Gpu("A GPU", 80.0, 79.0, 600.0)


def doctor(**environment: str) -> str:
    started = time.monotonic()
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 20
    return done.stdout


def test_it_measures_this_machine() -> None:
    said = doctor()
    assert re.search(rf"^cores +{len(os.sched_getaffinity(0))};", said, re.MULTILINE)
    rate = re.search(r"^matrix product +(\d+) GFLOP/s on a single core", said, re.MULTILINE)
    assert rate and 1 < int(rate[1]) < 1000
    assert "one-thread trials at a time" in said or torch.cuda.is_available()


@pytest.mark.skipif("USE_MKL=ON" not in torch.__config__.show(), reason="needs MKL")
def test_it_tells_when_mkl_takes_its_slow_path() -> None:
    # MKL's own switch for code that every processor runs, as it takes by itself on some.
    assert re.search(r"matrix products reach (\d+) of the (\d+) GFLOP/s", doctor(MKL_CBWR="COMPATIBLE"))


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (
            replace(SOUND, product_gflops=40.0, together_gflops=40.0, bf16_gflops=40.0),
            r"40 of the 100 GFLOP/s .* \"MKL on AMD\"",
        ),
        (replace(SOUND, load=6.0), r"other processes use 6\.0 of 8 cores"),
        (replace(SOUND, load=6.0, together_gflops=40.0), r"other processes use 6\.0 of 8 cores"),
        (replace(SOUND, together_gflops=55.0), r"each reaches 55 instead of 100 GFLOP/s"),
        (replace(SOUND, quota=2.5), r"the time of 2\.5 cores, though it sees 8: set search\.concurrency to 2"),
        (replace(SOUND, free_gib=3.0), r"3\.0 are free: set search\.concurrency to 3"),
        (replace(SOUND, disk_gib=1.0), r"1\.0 GiB of disk"),
        (replace(SOUND, open_clusters=("10.0.0.1:6379",)), r"the Ray at 10\.0\.0\.1:6379 asks for no token"),
        (replace(SOUND, gpus=(GPU,), idle_mps=True), r"start it by `nvidia-cuda-mps-control -d`"),
    ],
)
def test_each_obstacle_is_told_alone_with_what_to_do(machine: Machine, message: str) -> None:
    (obstacle,) = find_obstacles(machine)
    assert re.search(message, obstacle)


def test_a_sound_machine_has_none() -> None:
    assert find_obstacles(SOUND) == []
    assert find_obstacles(replace(SOUND, gpus=(GPU,), slots=1, free_gib=0.5)) == []
    assert find_obstacles(replace(SOUND, idle_mps=True)) == []
    rows = dict(describe_machine(replace(SOUND, gpus=(GPU,), slots=1)))
    assert rows["GPU"] == "A GPU, 80 GiB, 79 free, 600 TFLOP/s (bf16)"
    assert "as fit into the memory of a GPU" in rows["a search runs"]
