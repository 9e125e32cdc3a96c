"""Memory that a step frees is there for the next one."""

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's <malloc.h>
HUGE = 2**30  # bytes


@cache
def keep_freed_memory() -> None:
    """Keep freed memory for the rest of this process.

    glibc gives large blocks back to the system as they are freed, and takes them again page by page: some 7,000 page
    faults a step, a tenth of the time of a trial on a CPU (docs/performance.md). Where the memory is another library's
    affair, nothing happens.
    """
    if sys.platform != "linux":
        return
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(TRIM_THRESHOLD, HUGE)
        adjust(MMAP_THRESHOLD, HUGE)
