"""Ray on this machine for one search, without access for other users or from the network."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from search.cluster.starting import PROCESS, shortened, start_ray
from trainables.base.errors import UserError
from trainables.base.ray_internals import read_environment
from trainables.base.temporary import roots, temporary_folder

# Nothing listens on this port. Even with usage statistics off, one of Ray's processes asks the metadata services of
# three clouds.
NOWHERE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
# What Ray appends to a folder for its longest socket, and the longest path of a socket: 108 bytes on Linux, 104 on
# macOS, with the final zero.
LONGEST_SOCKET = len("/t-12345678/s/session_2026-11-29_12-00-00_000000_4194304/sockets/plasma_store")
MOST_BYTES = 103


@contextmanager
def local_ray(slots: int, online: bool = False) -> Iterator[None]:
    """Run the block with a new Ray, even if another one runs.

    slots: trials at a time. online: whether trials need the network. Raises UserError if Ray does not start.
    """
    proxies = {name: os.environ.get(name, "") for name in NOWHERE} if online else {}
    with temporary_folder(short_folder()) as folder, _own_settings():
        try:
            with _environment(NOWHERE):
                start_ray(
                    address="local",
                    num_cpus=slots,
                    include_dashboard=False,
                    runtime_env={"env_vars": PROCESS | proxies},
                    _temp_dir=str(folder / "s"),  # a folder below ours, as Ray gives everybody access to it
                )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            ray.shutdown()
            raise UserError(
                f"Ray does not start here: {shortened(error)}; nothing is lost: fix it, then resume"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


def short_folder() -> Path:
    """A folder for temporary folders, with a path that is short enough for sockets. Raises UserError."""
    for root in roots():
        longest = len(os.fsencode(root / f"babeltune-{os.getuid()}")) + LONGEST_SOCKET
        if longest <= MOST_BYTES and os.access(root, os.W_OK | os.X_OK):
            return root
    raise UserError(
        f"TMPDIR: {tempfile.gettempdir()} is too long for Ray's sockets, or can't be written, and so are /tmp and "
        "/var/tmp; set TMPDIR to a folder with a short path"
    )


@contextmanager
def _own_settings() -> Iterator[None]:
    """Give only processes that start in the block access to its Ray, whatever the user's environment says.

    They talk to each other without a proxy.
    """
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_grpc_enable_http_proxy": "0"}
    try:
        with _environment(settings, without=("RAY_AUTH_TOKEN_PATH",)):
            read_environment()
            yield
    finally:
        read_environment()


@contextmanager
def _environment(values: dict[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """Set and remove environment variables for the block."""
    before = {name: os.environ.pop(name) for name in (*values, *without) if name in os.environ}
    os.environ |= values
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ |= before
