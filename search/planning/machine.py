"""What this machine has for a search: memory and disk."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

GIB = 2**30


def available_memory() -> tuple[float, float]:
    """Bytes of memory that this process may use, and that are free.

    Without Linux's account of what can be freed, all counts as free. A container's limit counts.
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
    """Bytes of the largest GPU; None without one."""
    import torch  # takes seconds

    sizes = [torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())]
    return float(max(sizes)) if sizes else None


def free_disk(folder: Path) -> float:
    """Bytes that are free where the folder is, or will be."""
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return float(shutil.disk_usage(there).free)
