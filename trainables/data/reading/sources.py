"""Where text lies: a file, or a member of an archive, read as one stream of bytes with its compression undone."""

import bz2
import gzip
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from trainables.base.errors import UserError
from trainables.base.files import open_file
from trainables.base.temporary import temporary_folder

DEPTH = 3  # folders in which is looked: that of the corpus, and those in it
MOST = 50_000  # files that are looked at, the nearest first
BLOCK = 1 << 20  # bytes that are in memory at a time
# What reading raises where bytes are not what their name says: an encrypted member is a RuntimeError, a compression
# that Python's zipfile does not know a NotImplementedError.
FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)


def _zst(packed: IO[bytes]) -> IO[bytes]:
    import pyarrow  # takes a while

    return cast(IO[bytes], pyarrow.CompressedInputStream(pyarrow.PythonFile(packed, mode="r"), "zstd"))


# By the end of a name: what undoes the compression of a stream.
PACKINGS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda packed: cast(IO[bytes], gzip.GzipFile(fileobj=packed)),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zst,
}
SHORT = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}


@dataclass(frozen=True)
class Source:
    """One stream of bytes: a file, or a member of an archive."""

    file: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.member}" if self.member else str(self.file)

    @property
    def label(self) -> str:
        """What the file or member is called."""
        return (self.member or self.file.name).rpartition("/")[2]

    @property
    def name(self) -> str:
        """Its label without the ending of its compression, by which its form is known."""
        return unpacked_name(self.label)

    def read(self) -> Iterator[bytes]:
        """The bytes, unpacked, in blocks. Raises UserError."""
        try:
            with self._open() as stream:
                while block := stream.read(BLOCK):
                    yield block
        except FAULTS as error:
            raise UserError(f"{self}: can't be read: {' '.join(str(error).split())}") from error

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The file, or a temporary copy of what is compressed or lies in an archive, for who reads here and there."""
        if not self.member and self.name == self.file.name:
            yield self.file
            return
        with temporary_folder() as folder:
            copy = folder / "unpacked"
            with copy.open("wb") as file:
                file.writelines(self.read())
            yield copy

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with open_file(self.file) as content:
            if not self.member:
                yield _unpack(content, self.file.name)
            elif self.file.suffix == ".zip":
                with zipfile.ZipFile(content) as archive, archive.open(self.member) as member:
                    yield _unpack(member, self.member)
            else:
                with _open_tar(content, self.file) as tar:
                    for entry in tar:
                        if entry.name == self.member and entry.isreg() and (found := tar.extractfile(entry)):
                            yield _unpack(found, self.member)
                            return
                raise OSError(0, f"holds no {self.member}")


def unpacked_name(name: str) -> str:
    """A name without the ending of a compression."""
    return next((name[: -len(ending)] for ending in PACKINGS if name.endswith(ending)), name)


def is_archive(file: Path) -> bool:
    """Whether a file holds others, by its name."""
    return unpacked_name(_long_name(file)).endswith((".zip", ".tar"))


def list_members(file: Path) -> list[Source]:
    """The files in an archive, in its order; nothing is unpacked. Raises UserError for what is no archive.

    Links are not followed, and a name that leads out of the archive is none of its files.
    """
    facts = file.stat()
    return [Source(file, name) for name in _names(file, facts.st_size, facts.st_mtime_ns)]


def list_files(folder: Path) -> dict[str, Source]:
    """The files of a folder by their paths within it, the nearest first; hidden ones are left out."""
    found: dict[str, Source] = {}
    level = [folder]
    for _ in range(DEPTH + 1):
        deeper: list[Path] = []
        for each in level:
            with suppress(*[PermissionError] * (each != folder)):
                for entry in sorted(os.scandir(each), key=lambda entry: entry.name):
                    if entry.name.startswith(".") or len(found) >= MOST:
                        continue
                    path = each / entry.name
                    if entry.is_dir():
                        deeper.append(path)
                    elif entry.is_file():
                        found[str(path.relative_to(folder))] = Source(path)
        level = deeper
    return found


def by_unpacked_name(files: Mapping[str, Source]) -> dict[str, Source]:
    """Without the endings of compressions; what lies there unpacked, too, is taken so."""
    order = ["", *PACKINGS]
    names: dict[str, Source] = {}
    for name in sorted(files, key=lambda name: order.index(name[len(unpacked_name(name)) :])):
        if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")[:-1]):
            names.setdefault(unpacked_name(name), files[name])
    return names


@lru_cache(maxsize=16)  # a compressed archive is read to its end for its names
def _names(file: Path, size: int, time: int) -> tuple[str, ...]:
    try:
        with open_file(file) as content:
            if file.suffix == ".zip":
                with zipfile.ZipFile(content) as archive:
                    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            else:
                with _open_tar(content, file) as tar:
                    names = [entry.name for entry in tar if entry.isreg()]
    except FAULTS as error:
        raise UserError(f"{file}: can't be read: {' '.join(str(error).split())}") from error
    return tuple(name for name in dict.fromkeys(names) if not re.search(r"^/|(^|/)\.\.(/|$)", name))


def _long_name(file: Path) -> str:
    return next(
        (f"{file.name.removesuffix(end)}{long}" for end, long in SHORT.items() if file.suffix == end), file.name
    )


def _open_tar(content: IO[bytes], file: Path) -> tarfile.TarFile:
    """From its beginning to its end alone, as a compressed file is read: each reader has an archive of its own."""
    return tarfile.open(fileobj=_unpack(content, _long_name(file)), mode="r|")


def _unpack(stream: IO[bytes], name: str) -> IO[bytes]:
    for ending, unpack in PACKINGS.items():
        if name.endswith(ending):
            return unpack(stream)
    return stream
