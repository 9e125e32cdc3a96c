"""All private names of PyTorch that the project uses, which a new version of PyTorch may break.

tests/test_data_parallel.py has a test of each.
"""

from torch.distributed import distributed_c10d


def abort_process_group() -> None:
    """Leave NCCL's process group at once; destroying it would wait for processes that may be dead."""
    distributed_c10d._abort_process_group()
