"""All names of Ray that are not public, in one place: what a new version of Ray may break.

tests/test_local_ray.py has a test of each.
"""

from collections.abc import Iterable
from typing import Any

import ray
import ray._raylet as raylet

ANSWER_SECONDS = 5.0


def draining_nodes() -> set[str]:
    """Ids of the nodes that are about to be taken away, as Ray Train asks for them."""
    return set(ray._private.state.state.get_draining_nodes())


def dead_processes() -> list[str]:
    """Kinds of Ray's processes here that have died: gcs_server, raylet and others."""
    return [kind for kind, _ in _node().dead_processes()]


def kill_processes() -> None:
    """End Ray here, whatever it does."""
    _node().kill_all_processes(check_alive=False, allow_graceful=False)


def processes(kind: str) -> list[int]:
    """The process ids of Ray's processes of a kind here."""
    return [info.process.pid for info in _node().all_processes.get(kind, ())]


def session_folder() -> str:
    """Where Ray keeps sockets and logs."""
    return str(_node().get_session_dir_path())


def _node() -> Any:
    node = ray._private.worker._global_node
    assert node is not None, "Ray was started or joined by this process"
    return node


def print_nothing() -> None:
    """Ray prints no longer what its processes die of: that goes on for many lines."""
    ray._private.worker.print_worker_logs = _ignore  # type: ignore[assignment]


def _ignore(*_: object) -> None:
    pass


def read_environment() -> None:
    """Take settings and token from the environment again: Ray has read it as it was imported."""
    raylet.Config.initialize("")  # type: ignore[attr-defined]
    raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]


def shows_token() -> bool:
    """Whether this process shows a token; a cluster that it has joined asks for one then."""
    mode = raylet.get_authentication_mode()  # type: ignore[attr-defined]
    return bool(mode == raylet.AuthenticationMode.TOKEN)  # type: ignore[attr-defined]


def running_clusters() -> Iterable[str]:
    """The addresses of all Rays on this machine."""
    from ray._private.services import find_gcs_addresses

    addresses: frozenset[str] = find_gcs_addresses()  # type: ignore[no-untyped-call]
    return addresses


def answers(address: str) -> bool:
    """Whether the cluster there answers this process, whose token is right or not needed then."""
    try:
        raylet.GcsClient(address=address).internal_kv_get(b"anything", timeout=ANSWER_SECONDS)  # type: ignore[attr-defined]
    except (RuntimeError, ray.exceptions.RayError):
        return False
    return True
