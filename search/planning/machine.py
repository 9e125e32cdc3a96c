"""The memory and disk space of this machine."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

GIB = 2**30


def available_memory() -> tuple[float, float]:
    """The bytes of memory that this process may use, within its container's limit, and those that are free.

    On systems other than Linux all of it counts as free.
    """
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    free = total
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                free = int(line.split()[1]) * 1024.0
    with suppress(OSError, ValueError):  # ValueError for "max"
        total = min(total, float(int(Path("/sys/fs/cgroup/memory.max").read_text())))
    return total, min(free, total)


def gpu_memory() -> float | None:
    """The bytes of the largest GPU; None without one."""
    import torch  # takes seconds

    sizes = [torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())]
    return float(max(sizes)) if sizes else None


def free_disk(folder: Path) -> float:
    """The free bytes on the disk of the folder, which need not exist yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return float(shutil.disk_usage(there).free)
