"""Objects at an address such as s3://bucket/runs: each is complete or absent; without folders, locks or renames."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.base.errors import StorageFails
from trainables.base.files import create_folder, sync
from trainables.base.locks import locked
from trainables.sharing.connection import connect, obstore_error, server_words

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore

LARGEST_COPY = 5 * 2**30  # bytes that S3 copies in one request
LOCK = ".lock"  # suffix of the lock files that replace conditional writes in file://


@dataclass(frozen=True)
class Version:
    """The content of an object at one moment, and the store's tag of this version."""

    content: bytes
    tag: "UpdateVersion"


class Store:
    """The objects below a URL, by keys such as "trials/3/epoch-1/state.pt".

    For S3, Google Cloud Storage, Azure and services with their protocols, by obstore; file:///… for tests on one
    machine, or for a file system with flock that all machines mount. Every method raises StorageFails, with the message
    of the store.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.url,)  # a connection belongs to one process

    @cached_property
    def _place(self) -> tuple["ObjectStore", str]:
        """The bucket, and what precedes each key in it, ending with a slash."""
        return connect(self.url)

    @contextmanager
    def _request(self, key: str) -> Iterator[tuple["ObjectStore", str]]:
        """The bucket and the path of a key in it, for a request. Does not catch FileNotFoundError."""
        store, prefix = self._place
        try:
            yield store, prefix + key
        except (FileNotFoundError, StorageFails):
            raise
        except (obstore_error(), OSError) as error:  # an OSError may come from the file that is sent
            raise self._failed(key, error) from error

    @contextmanager
    def _write_request(self, key: str) -> Iterator[tuple["ObjectStore", str]]:
        """As `_request`, for requests in which a missing object is an error: usually the bucket is missing."""
        try:
            with self._request(key) as place:
                yield place
        except FileNotFoundError as error:
            raise self._failed(key, error) from error

    def _failed(self, key: str, error: Exception) -> StorageFails:
        return StorageFails(
            f"storage: {self.url}/{key}: {type(error).__name__}: {server_words(error)}; is the bucket there, and "
            "may this machine read and write it?"
        )

    def try_out(self) -> None:
        """Raises StorageFails unless objects can be written, found, read, replaced on condition, and removed."""
        key = f".check-{uuid.uuid4().hex}"
        first = self.create(key, b"first")
        second = self.replace(key, first, b"second") if first else None
        if not first or not second or self.create(key, b"third") or self.replace(key, first, b"fourth"):
            raise StorageFails(
                f"storage: {self.url}: overwrites an object in spite of a condition, so two drivers could "
                "write one run; name a storage with conditional writes, as S3, Google Cloud Storage and Azure have"
            )
        if self.find(key) != [key] or self.read(key) != b"second":
            raise StorageFails(f"storage: {self.url}: written objects are not found again; name another")
        self.remove(key)

    def read(self, key: str) -> bytes | None:
        """The content of an object; None if it does not exist."""
        version = self.read_version(key)
        return None if version is None else version.content

    def read_version(self, key: str) -> Version | None:
        """An object in its present version; None if it does not exist."""
        try:
            with self._request(key) as (store, path):
                result = store.get(path)
                return Version(bytes(result.bytes()), _tag(result.meta))
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Write an object, replacing an existing one. Raises StorageFails."""
        with self._write_request(key) as (store, path):
            store.put(path, content)

    def create(self, key: str, content: bytes) -> Version | None:
        """Write an object unless it exists; None if it does."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._write_request(key) as (store, path):
            try:
                return Version(content, _tag(store.put(path, content, mode="create")))
            except (AlreadyExistsError, PreconditionError):
                return None

    def replace(self, key: str, known: Version, content: bytes) -> Version | None:
        """Write an object if it still has the known version; None if it does not."""
        from obstore.exceptions import NotFoundError, PreconditionError

        with self._write_request(key) as (store, path):
            if self.url.startswith("file://"):  # obstore has no conditional write there, but the machine has locks
                with locked(Path(f"/{path}{LOCK}")):
                    if self.read(key) != known.content:
                        return None
                    return Version(content, _tag(store.put(path, content)))
            try:
                return Version(content, _tag(store.put(path, content, mode=known.tag)))
            except (PreconditionError, NotFoundError):
                return None

    def put(self, file: Path, key: str) -> None:
        """Write a file as an object, replacing an existing one. Raises StorageFails."""
        with self._write_request(key) as (store, path):
            store.put(path, file)

    def get(self, key: str, file: Path) -> bool:
        """Read an object into a file, and create the file's folder; False if there is no such object."""
        create_folder(file.parent)
        draft = file.with_name(f".{file.name}.draft")
        try:
            with self._request(key) as (store, path):
                parts = store.get(path)
                with draft.open("wb") as out:
                    for part in parts.stream():
                        out.write(part)
                    out.flush()
                    os.fsync(out.fileno())
        except FileNotFoundError:
            draft.unlink(missing_ok=True)
            return False
        draft.replace(file)
        sync(file.parent)
        return True

    def exists(self, key: str) -> bool:
        """Whether there is an object. Raises StorageFails."""
        try:
            with self._request(key) as (store, path):
                store.head(path)
        except FileNotFoundError:
            return False
        return True

    def find(self, prefix: str = "") -> list[str]:
        """The key that is the prefix, and those below it, sorted: "a" finds a and a/1, but not ab."""
        with self._request(prefix) as (store, path):
            start = len(self._place[1])
            below = [item["path"][start:] for part in store.list(path or None) for item in part]
        found = [key for key in below if not key.endswith(LOCK)]
        return sorted([*found, prefix] if prefix and self.exists(prefix) else found)

    def copy(self, source: str, target: str) -> bool:
        """Copy an object within the store; False if there is no such object."""
        try:
            with self._request(source) as (store, path):
                size = store.head(path)["size"]
                other = f"{self._place[1]}{target}"
                if size < LARGEST_COPY:
                    store.copy(path, other)
                else:
                    store.put(other, store.get(path).stream())
        except FileNotFoundError:
            return False
        return True

    def remove(self, prefix: str) -> None:
        """Remove an object, and all objects below its key."""
        with self._write_request(prefix) as (store, _):
            if paths := [self._place[1] + key for key in self.find(prefix)]:
                with suppress(FileNotFoundError):  # another process was first
                    store.delete(paths)


def _tag(answer: Mapping[str, Any]) -> "UpdateVersion":
    """The version of an object in the answer to a read or a write; stores use different fields."""
    tag: UpdateVersion = {}
    if answer["e_tag"] is not None:
        tag["e_tag"] = answer["e_tag"]
    if answer["version"] is not None:
        tag["version"] = answer["version"]
    return tag
