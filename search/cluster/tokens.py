"""Whether a Ray lets in whoever reaches it: without a token, anybody can run code there as its owner.

python -m search.cluster.tokens    prints the addresses of such clusters on this machine, a line each
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import compress


def open_clusters() -> list[str]:
    """Addresses of clusters on this machine that ask for no token."""
    asked = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},  # which Ray reads as it is imported
        capture_output=True,
        text=True,
    )
    return asked.stdout.split()


if __name__ == "__main__":
    from trainables.base.ray_internals import answers, running_clusters

    addresses = sorted(running_clusters())
    with ThreadPoolExecutor() as pool:
        print(*compress(addresses, pool.map(answers, addresses)), sep="\n")
