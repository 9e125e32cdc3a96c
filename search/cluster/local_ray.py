"""Ray on this machine for one search, closed to other users and to the network."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray
import ray._raylet as raylet

from search.cluster.starting import PROCESS, shortened, start_ray
from trainables.errors import UserError
from trainables.locks import is_held, locked

# Nothing listens on this port: even with usage statistics off, one of Ray's processes asks the metadata services of
# three clouds where it runs.
NOWHERE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
PREFIX, LOCK = "babeltune-ray-", "lock"
# What Ray adds to a folder for its longest socket, and what the system takes: 108 bytes on Linux, 104 on macOS, with
# the zero at the end.
LONGEST_SOCKET = len("/s/session_2026-11-29_12-00-00_000000_4194304/sockets/plasma_store")
MOST_BYTES = 103


@contextmanager
def local_ray(slots: int, online: bool = False) -> Iterator[None]:
    """Start Ray for the block, even where another runs.

    slots: trials at a time. online: whether they need the network. Raises UserError if Ray does not start.
    """
    proxies = {name: os.environ.get(name, "") for name in NOWHERE} if online else {}
    with private_folder() as folder, _own_settings():
        try:
            with _environment(NOWHERE):
                start_ray(
                    address="local",
                    num_cpus=slots,
                    include_dashboard=False,
                    runtime_env={"env_vars": PROCESS | proxies},
                    _temp_dir=str(folder / "s"),  # which Ray opens to everybody
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


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for sockets and logs that other users can't enter, gone after the block.

    What a process that was killed has left is removed, too. Raises UserError if there is no room for one.
    """
    for folder in abandoned_folders():
        shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_short_folder()))  # mode 0700
    try:
        with locked(folder / LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_folders() -> list[Path]:
    """Private folders of this user whose processes are gone."""
    found = []
    for root in _roots():
        for folder in root.glob(f"{PREFIX}*"):
            with suppress(OSError):  # of another user, or just removed
                if folder.stat().st_uid == os.getuid() and not is_held(folder / LOCK):
                    found.append(folder)
    return found


def _roots() -> list[Path]:
    """Where a private folder may lie, the best first."""
    return list(
        dict.fromkeys(Path(root) for root in (tempfile.gettempdir(), "/tmp", "/var/tmp") if Path(root).is_dir())
    )


def _short_folder() -> Path:
    """The first one with a path that is short enough for sockets. Raises UserError."""
    for root in _roots():
        longest = len(os.fsencode(root / f"{PREFIX}12345678")) + LONGEST_SOCKET
        if longest <= MOST_BYTES and os.access(root, os.W_OK | os.X_OK):
            return root
    raise UserError(
        f"TMPDIR: {tempfile.gettempdir()} is too long for Ray's sockets, or can't be written, and so are /tmp and "
        "/var/tmp; set TMPDIR to a folder with a short path"
    )


@contextmanager
def _own_settings() -> Iterator[None]:
    """Whatever the user's environment says, only processes that start in the block get into its Ray, and what they say
    to each other goes through no proxy."""
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_grpc_enable_http_proxy": "0"}
    try:
        with _environment(settings, without=("RAY_AUTH_TOKEN_PATH",)):
            _read_environment()
            yield
    finally:
        _read_environment()


def _read_environment() -> None:
    """Ray has read its settings when it was imported, and keeps the token that it found first."""
    raylet.Config.initialize("")  # type: ignore[attr-defined]
    raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]


@contextmanager
def _environment(values: dict[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """The process's environment with other values for the block."""
    before = {name: os.environ.pop(name) for name in (*values, *without) if name in os.environ}
    os.environ |= values
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ |= before
