"""A disk that loses power: what it may hold afterwards, of what was written, renamed and removed without being synced.

As POSIX promises it: a file's content is on disk when the file is synced, a folder's entries when the folder is. What
is not synced may be on disk or not. A rename is there as a whole or not at all, as on every file system with a journal.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir", "link")


@dataclass(eq=False)
class Node:
    """A file or a folder, under whatever name."""

    content: bytes = b""
    entries: "dict[str, Node] | None" = None  # None for a file
    synced: bytes = b""
    kept: "dict[str, Node]" = field(default_factory=dict)  # entries that are on disk


@dataclass(frozen=True)
class Loss:
    """How the disk may look after a loss of power, and how many operations had returned before it."""

    returned: int
    files: dict[str, bytes | None]  # by path; None is a folder

    def write(self, folder: Path) -> Path:
        folder.mkdir()
        for path, content in self.files.items():
            if content is None:
                (folder / path).mkdir()
            else:
                (folder / path).write_bytes(content)
        return folder


def losses_of_power(root: Path, operations: Sequence[Callable[[], object]]) -> list[Loss]:
    """Before each change that the operations make below the root, and after each has returned.

    What the root holds at the start is on disk.
    """
    disk, found = _Disk(root), dict[tuple[int, tuple[tuple[str, bytes | None], ...]], Loss]()
    disk.sync_all()
    returned = 0

    def look() -> None:
        disk.look()
        for files in disk.outcomes():
            found.setdefault((returned, tuple(files.items())), Loss(returned, files))

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            look()
            result = change(*arguments, **options)
            if name == "fsync":
                disk.sync(os.fstat(arguments[0]).st_ino)
            disk.look()
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, watched(name, getattr(os, name)))
        for operation in operations:
            operation()
            returned += 1
            look()
    return list(found.values())


class _Disk:
    def __init__(self, root: Path):
        self.root, self.nodes = root, {root.stat().st_ino: Node(entries={})}
        self.top = self.nodes[root.stat().st_ino]
        self.look()

    def look(self) -> None:
        """What is there now; a node whose last name is gone is forgotten, as its number may come again."""
        known, self.nodes = self.nodes, {}
        self._look(self.root, known)

    def _look(self, path: Path, known: dict[int, Node]) -> Node:
        number = path.stat().st_ino
        node = self.nodes[number] = known.get(number) or Node(entries={} if path.is_dir() else None)
        if node.entries is None:
            node.content = path.read_bytes()
        else:
            node.entries = {child.name: self._look(child, known) for child in sorted(path.iterdir())}
        return node

    def sync_all(self) -> None:
        for number in self.nodes:
            self.sync(number)

    def sync(self, number: int) -> None:
        node = self.nodes.get(number)
        if node is None:
            return
        if node.entries is None:
            node.synced = node.content
            return
        gone = [child for child in node.kept.values() if child not in node.entries.values()]
        come = [child for child in node.entries.values() if child not in node.kept.values()]
        node.kept = dict(node.entries)
        for other in (each for each in self.nodes.values() if each.entries is not None and each is not node):
            other.kept |= {name: child for name, child in (other.entries or {}).items() if child in gone}
            other.kept = {
                name: child
                for name, child in other.kept.items()
                if child not in come or (other.entries or {}).get(name) is child
            }

    def outcomes(self) -> Iterator[dict[str, bytes | None]]:
        """With the entries that were synced, or all; of contents that were not the old, a part, zeros, or all."""
        for all_entries in (False, True):
            for lose in (lambda old, _: old, _torn, _zeros, lambda _, new: new):
                yield dict(self._outcome(self.top, "", all_entries, lose))

    def _outcome(
        self, folder: Node, prefix: str, all_entries: bool, lose: Callable[[bytes, bytes], bytes]
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, child in sorted(((folder.entries or {}) if all_entries else folder.kept).items()):
            if child.entries is None:
                yield f"{prefix}{name}", lose(child.synced, child.content)
            else:
                yield f"{prefix}{name}", None
                yield from self._outcome(child, f"{prefix}{name}/", all_entries, lose)


def _torn(old: bytes, new: bytes) -> bytes:
    """What was on disk, with half of what was appended to it; half of the new where it was not appended."""
    start = len(old) if new.startswith(old) else 0
    return new[: start + (len(new) - start) // 2]


def _zeros(old: bytes, new: bytes) -> bytes:
    """The new length without the new bytes."""
    start = len(old) if new.startswith(old) else 0
    return new[:start] + bytes(len(new) - start)
