"""All private names of Ray that the project uses, which a new version of Ray may break.

tests/test_local_ray.py has a test of each.
"""

from collections.abc import Iterable
from typing import Any

import ray
import ray._raylet as raylet

ANSWER_SECONDS = 5.0


def draining_nodes() -> set[str]:
    """Ids of the nodes that are about to be taken away, queried as in Ray Train."""
    return set(ray._private.state.state.get_draining_nodes())


def dead_processes() -> list[str]:
    """The kinds of Ray's local processes that have died: gcs_server, raylet and others."""
    return [kind for kind, _ in _node().dead_processes()]


def kill_processes() -> None:
    """Kill Ray's local processes, whatever they do."""
    _node().kill_all_processes(check_alive=False, allow_graceful=False)


def processes(kind: str) -> list[int]:
    """The ids of Ray's local processes of a kind."""
    return [info.process.pid for info in _node().all_processes.get(kind, ())]


def session_folder() -> str:
    """The folder of Ray's sockets and logs."""
    return str(_node().get_session_dir_path())


def _node() -> Any:
    node = ray._private.worker._global_node
    assert node is not None, "Ray was started or joined by this process"
    return node


def print_nothing() -> None:
    """Stop Ray from printing why its processes died, which takes many lines."""
    ray._private.worker.print_worker_logs = _ignore  # type: ignore[assignment]


def _ignore(*_: object) -> None:
    pass


def read_environment() -> None:
    """Read settings and token from the environment again, as Ray read them when it was imported."""
    raylet.Config.initialize("")  # type: ignore[attr-defined]
    raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]


def shows_token() -> bool:
    """Whether this process sends a token; then a cluster that it has joined requires one."""
    mode = raylet.get_authentication_mode()  # type: ignore[attr-defined]
    return bool(mode == raylet.AuthenticationMode.TOKEN)  # type: ignore[attr-defined]


def running_clusters() -> Iterable[str]:
    """The addresses of all Ray clusters on this machine."""
    from ray._private.services import find_gcs_addresses

    addresses: frozenset[str] = find_gcs_addresses()  # type: ignore[no-untyped-call]
    return addresses


def answers(address: str) -> bool:
    """Whether the cluster answers this process: then its token is right, or not needed."""
    try:
        raylet.GcsClient(address=address).internal_kv_get(b"anything", timeout=ANSWER_SECONDS)  # type: ignore[attr-defined]
    except (RuntimeError, ray.exceptions.RayError):
        return False
    return True
