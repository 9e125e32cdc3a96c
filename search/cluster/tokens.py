"""Whether a Ray lets in whoever reaches it: without a token, anybody can run code there as its owner.

python -m search.cluster.tokens    prints the addresses of such clusters on this machine, a line each
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

ANSWER_SECONDS = 5.0


def takes_tokens() -> bool:
    """Whether this process shows a token to Ray; a cluster that it has joined asks for one then."""
    import ray._raylet as raylet

    mode = raylet.get_authentication_mode()  # type: ignore[attr-defined]
    return bool(mode == raylet.AuthenticationMode.TOKEN)  # type: ignore[attr-defined]


def open_clusters() -> list[str]:
    """Addresses of clusters on this machine that ask for no token."""
    asked = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},  # which Ray reads as it is imported
        capture_output=True,
        text=True,
    )
    return asked.stdout.split()


def answers(address: str) -> bool:
    """Whether the cluster there answers this process, whose token is right or not needed then."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    try:
        GcsClient(address=address).internal_kv_get(b"anything", timeout=ANSWER_SECONDS)
    except (RuntimeError, ray.exceptions.RayError):
        return False
    return True


if __name__ == "__main__":
    from ray._private.services import find_gcs_addresses

    addresses: list[str] = sorted(find_gcs_addresses())  # type: ignore[no-untyped-call]
    with ThreadPoolExecutor() as pool:
        print(*compress(addresses, pool.map(answers, addresses)), sep="\n")
