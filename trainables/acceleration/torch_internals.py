"""All names of PyTorch that are not public, in one place: what a new version of PyTorch may break.

tests/test_data_parallel.py has a test of each.
"""

from torch.distributed import distributed_c10d


def abort_process_group() -> None:
    """Leave the process group of NCCL at once; to destroy it would wait for processes that may be gone."""
    distributed_c10d._abort_process_group()
