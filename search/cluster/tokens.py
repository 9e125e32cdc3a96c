"""Finds Ray clusters that need no token: anybody who reaches them can run code there as their owner.

python -m search.cluster.tokens    prints the address of each such cluster on this machine
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import compress


def open_clusters() -> list[str]:
    """The addresses of clusters on this machine that ask for no token."""
    asked = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},  # Ray reads it on import
        capture_output=True,
        text=True,
    )
    return asked.stdout.split()


if __name__ == "__main__":
    from trainables.base.ray_internals import answers, running_clusters

    addresses = sorted(running_clusters())
    with ThreadPoolExecutor() as pool:
        print(*compress(addresses, pool.map(answers, addresses)), sep="\n")
