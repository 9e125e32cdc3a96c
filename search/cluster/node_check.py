"""Checks a node of a cluster. Imports nothing that a node may lack."""

import errno
import fcntl
import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.base.errors import UserError
from trainables.base.installed import find_other_versions, own_versions, version_of

if TYPE_CHECKING:
    from trainables.sharing.object_store import Store

# Packages that training needs on the node; Ray sends this project's own packages there.
PRESENT = (
    "numpy",
    "pydantic",
    "pydantic-settings",
    "pyyaml",
    "sacrebleu",
    "safetensors",
    "sentencepiece",
)
LEAST_FREE_GIB = 2.0
LEAST_OPEN_FILES = 4096  # Ray opens several for each worker process and each other node


@dataclass(frozen=True)
class NodeFacts:
    """Facts about a node, as seen by a worker process on it."""

    host: str
    versions: dict[str, str | None]  # python and packages; None for one that is not installed
    open_files: int  # the limit
    free_gib: dict[str, float]  # by folder, for those that exist
    token: str | None  # the content of the shared token file; None if it can't be read
    writable: bool  # whether the node could write its answer beside the token
    locked: bool | None  # whether the driver's lock of the token works on this node; None if locks fail
    lacking: tuple[str, ...]  # corpus files that can't be read, or have another size
    storage: str | None = None  # what is wrong with access to the storage; None if nothing is
    gpus: int | None = None  # the number that NVIDIA's driver shows; None without a driver


def inspect_node(token: str, answer: str, sizes: dict[str, int]) -> NodeFacts:
    """Check the node that this runs on, and write `answer` beside the token.

    token: a file, or the URL of an object in a storage. sizes: of the corpus files, in bytes.
    """
    file, fault = Path(token), None
    folders = [tempfile.gettempdir()]
    if "://" in token:
        text, fault = _try_storage(token, answer)
        writable = fault is None
    else:
        text, writable = _read(file), _write(file.with_name(answer), platform.node())
        folders.append(str(file.parent))
    return NodeFacts(
        host=platform.node(),
        versions=own_versions() | {name: version_of(name) for name in PRESENT},
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        free_gib={folder: shutil.disk_usage(folder).free / 2**30 for folder in folders if Path(folder).is_dir()},
        token=text,
        writable=writable,
        locked="://" in token or _locked(file),
        lacking=tuple(path for path, size in sizes.items() if not _readable(path, size)),
        storage=fault,
        gpus=_count_gpus(),
    )


def find_faults(facts: NodeFacts, driver: NodeFacts, gpus: float) -> tuple[list[str], list[str]]:
    """Messages for the user: faults that exclude the node from the search, and warnings.

    gpus: the number that Ray counts on the node.
    """
    faults = find_other_versions(driver.versions, facts.versions)
    if missing := [name for name in PRESENT if facts.versions[name] is None]:
        faults.append(f"{', '.join(missing)} not installed; run `pip install -e .` there, as cluster.yaml does")
    if facts.open_files < LEAST_OPEN_FILES:
        faults.append(
            f"only {facts.open_files} open files allowed, {LEAST_OPEN_FILES} needed; put `ulimit -n 65536` before "
            "`ray start`"
        )
    shared = list(driver.free_gib)[-1]
    for folder, free in facts.free_gib.items():
        if free < LEAST_FREE_GIB:
            faults.append(f"{free:.1f} GiB free in {folder}, {LEAST_FREE_GIB:g} needed; free some, or give it more")
    if facts.storage:
        faults.append(facts.storage)
    elif len(driver.free_gib) == 1 and not (facts.writable and facts.token == driver.token):
        faults.append("storage: the driver's files can't be read there; name a storage that all nodes share")
    elif facts.token is None:
        faults.append(f"output_dir {shared} is missing there; mount the shared folder, or name one that all share")
    elif facts.token != driver.token:
        faults.append(f"output_dir {shared} is another folder there; name one that all nodes share")
    elif not facts.writable:
        faults.append(f"output_dir {shared} can't be written there; give write access to the user that runs Ray")
    elif not facts.locked:
        faults.append(
            f"file locks in output_dir {shared} don't reach it, so two drivers could write one search; use a file "
            "system with flock across nodes, such as NFS 4, or name an object store as storage"
        )
    if facts.lacking:
        more = f" and {len(facts.lacking) - 1} more" if len(facts.lacking) > 1 else ""
        faults.append(
            f"data.path: {facts.lacking[0]}{more} can't be read there, or differs; put the corpus into a shared folder"
        )
    notes = []
    if gpus and not facts.gpus:
        notes.append(f"Ray counts {gpus:g} GPU, but NVIDIA's driver shows none: models would train on its CPU")
    return faults, notes


class SharedToken:
    """A locked file in the output directory, by which nodes check that they share it; removed after the block."""

    def __init__(self, folder: Path):
        self.file = folder / f".shared-{os.urandom(8).hex()}"
        self.place = str(self.file)

    def __enter__(self) -> "SharedToken":
        self.file.write_text(self.file.name)
        self._held = os.open(self.file, os.O_RDWR)
        with suppress(OSError):  # without locks the nodes report it
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self

    def answer(self, node: int) -> str:
        """The file name of a node's answer."""
        return f"{self.file.name}-{node}"

    def as_answered(self, facts: NodeFacts, node: int) -> NodeFacts:
        """The facts, corrected if what the node wrote did not come here."""
        arrived = _read(self.file.with_name(self.answer(node))) == facts.host
        return replace(facts, writable=facts.writable and arrived)

    def __exit__(self, *_: object) -> None:
        os.close(self._held)
        for file in self.file.parent.glob(f"{self.file.name}*"):
            file.unlink(missing_ok=True)


class StoredToken:
    """The same in the storage that nodes share instead of a folder."""

    def __init__(self, store: "Store"):
        self.store, self.name = store, f"check-{os.urandom(8).hex()}"
        self.place = f"{store.url}/{self.name}/token"

    def __enter__(self) -> "StoredToken":
        self.store.write(f"{self.name}/token", self.place.encode())
        return self

    def answer(self, node: int) -> str:
        """The name of a node's answer."""
        return f"answer-{node}"

    def as_answered(self, facts: NodeFacts, node: int) -> NodeFacts:
        """The facts, corrected if what the node wrote did not come here."""
        arrived = self.store.read(f"{self.name}/{self.answer(node)}") == facts.host.encode()
        return replace(facts, writable=facts.writable and arrived)

    def __exit__(self, *_: object) -> None:
        self.store.remove(self.name)


def list_sizes(files: Sequence[Path]) -> dict[str, int]:
    """The size of each file in bytes, by its path."""
    return {str(file): file.stat().st_size for file in files}


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


def _write(file: Path, text: str) -> bool:
    try:
        file.write_text(text)
    except OSError:
        return False
    return True


def _try_storage(token: str, answer: str) -> tuple[str | None, str | None]:
    """The content of the token, and an error message; one of them is None."""
    from trainables.sharing.object_store import Store  # its imports may fail; the error names the package

    url, _, name = token.rpartition("/")
    try:
        store = Store(url)
        content = store.read(name)
        store.write(answer, platform.node().encode())
    except UserError as error:  # a package or a right that is missing, or the network
        return None, str(error)
    return (content.decode() if content else None), None


def _readable(path: str, size: int) -> bool:
    try:
        with Path(path).open("rb") as file:
            file.read(1)
            return os.fstat(file.fileno()).st_size == size
    except OSError:
        return False


def _locked(token: Path) -> bool | None:
    try:
        descriptor = os.open(token, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(descriptor)
    return False


def _count_gpus() -> int | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except Exception:  # no module, no driver, no device: all say the same
        return None
