"""Objects under an address that fsspec knows (s3, gs, file, …): whole or absent, without folders, locks or renames."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec

from trainables.errors import StorageFails

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of this project, by protocol


class Store:
    """The objects below a URL, by keys such as "trials/3/epoch-1/state.pt".

    Every method raises StorageFails, which says what the storage has said.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.url,)  # a connection is of one process

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system and the path in it."""
        protocol = self.url.partition("://")[0]
        settings: dict[str, Any] = {"auto_mkdir": True} if protocol == "file" else {}
        try:
            # What was listed before may have changed: other machines write here, too.
            fs, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True, **settings)
        except (ImportError, ValueError) as error:
            extra = EXTRAS.get(protocol)
            cure = f"`pip install -e '.[{extra}]'` brings it" if extra else "install what fsspec needs for it"
            raise StorageFails(f"storage: {self.url}: {_words(error)}; {cure}") from None
        return fs, str(path)

    @contextmanager
    def _asked(self, key: str, reading: bool = False) -> Iterator[tuple[Any, str]]:
        """The file system and the path of a key, while something is asked of them."""
        fs, path = self._place
        try:
            yield fs, f"{path}/{key}".rstrip("/")
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            if reading:
                raise
            raise self._failed(key, error) from error
        except Exception as error:  # each file system has its own
            raise self._failed(key, error) from error

    def _failed(self, key: str, error: Exception) -> StorageFails:
        return StorageFails(
            f"storage: {self.url}/{key}: {type(error).__name__}: {_words(error)}; is the bucket there, and may this "
            "machine read and write it?"
        )

    def try_out(self) -> None:
        """Raises StorageFails unless objects can be written, found, read and removed."""
        key = f".check-{uuid.uuid4().hex}"
        self.write(key, key.encode())
        if self.find(key) != [key] or self.read(key) != key.encode():
            raise StorageFails(f"storage: {self.url}: what is written is not found again; name another")
        self.remove(key)

    def read(self, key: str) -> bytes | None:
        """None if it is not there."""
        try:
            with self._asked(key, reading=True) as (fs, path):
                content: bytes = fs.cat_file(path)
                return content
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        with self._asked(key) as (fs, path):
            fs.pipe_file(path, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write it unless it is there already; whether it was written."""
        if self.find(key):  # the write itself would be refused only when all is sent
            return False
        try:
            with self._asked(key) as (fs, path):
                fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    def put(self, file: Path, key: str) -> None:
        with self._asked(key) as (fs, path):
            fs.put_file(str(file), path)

    def get(self, key: str, file: Path) -> bool:
        """Into a file, whose folder is made; whether it was there."""
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.draft")
        try:
            with self._asked(key, reading=True) as (fs, path):
                fs.get_file(path, str(draft))
        except FileNotFoundError:
            draft.unlink(missing_ok=True)
            return False
        draft.replace(file)
        return True

    def find(self, prefix: str = "") -> list[str]:
        """The keys of all below a prefix that ends where a part of a key does, sorted."""
        with self._asked(prefix) as (fs, path):
            root = self._place[1]
            return sorted(str(found)[len(root) :].lstrip("/") for found in fs.find(path))

    def copy(self, source: str, target: str) -> None:
        """Within the storage."""
        with self._asked(source) as (fs, path):
            fs.cp_file(path, f"{self._place[1]}/{target}")

    def remove(self, prefix: str) -> None:
        """All below it, and itself."""
        if keys := self.find(prefix):
            with self._asked(prefix) as (fs, _):
                fs.rm([f"{self._place[1]}/{key}" for key in keys])


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
