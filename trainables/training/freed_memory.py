"""Memory that a step frees stays in the process for the next step, in training and in decoding."""

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as in glibc's <malloc.h>
HUGE = 2**30  # bytes


@cache
def keep_freed_memory() -> None:
    """Keep freed memory for the rest of this process.

    By default glibc returns large freed blocks to the system and gets them again page by page: about 7,000 page faults
    per training step, a tenth of the time of a trial on a CPU, and 5% of decoding (docs/performance.md). With another
    allocator this does nothing.
    """
    if sys.platform != "linux":
        return
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(TRIM_THRESHOLD, HUGE)
        adjust(MMAP_THRESHOLD, HUGE)
