"""The corpus as it was read: once from its own files, then from the cache.

A run's cache knows a corpus again by the path, size and times of its files. A node that does not see these files has a
record that was brought to it.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from trainables.base.config import digest
from trainables.base.data_config import PHRASEBOOK, DataConfig
from trainables.base.errors import UserError
from trainables.base.files import make_folder, unwritable
from trainables.base.locks import locked
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.data.corpora.corpus import Corpus, digest_test, read_corpus, test_files, training_files
from trainables.data.reading.text import Split, Text, is_stored, load

BROUGHT = "corpus.json"  # in the cache of a node that does not see the corpus itself
SETTLED = 2.0  # seconds after which a change of a file changes its times for sure
FACTS = ("size", "mtime_ns", "ctime_ns", "ino")  # of a file that is known again
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz", ".parquet")  # endings of files whose text is larger
UNPACKED = 4  # bytes of text in a byte of theirs, about
PREPARED = 1.5  # bytes on disk for a byte of text: itself, and its ids
LATER = ("max_tokens", "overlong")  # keys that decide nothing when the text is read


@lru_cache(maxsize=1)
def cached_corpus(data: DataConfig, cache: Path) -> Corpus:
    """Training and validation text, read and checked if these files were not yet. Raises UserError."""
    if (cache / BROUGHT).exists():
        return _load(json.loads((cache / BROUGHT).read_bytes()), cache)
    paths = training_files(data)

    def read() -> dict[str, Any]:
        _check_disk(data, paths, cache)
        return record_of(read_corpus(data, cache / "texts"))

    def is_whole(record: dict[str, Any]) -> bool:
        return is_stored(cache / "texts", record["train"])

    return _load(_remembered(data, "", paths, cache, read, is_whole), cache)


def cached_test_digest(data: DataConfig, train: Text, cache: Path, key: str = "test") -> dict[str, Any]:
    """As `digest_test`, which reads the test split, unless it has read these files before. Raises UserError."""
    if data.path == PHRASEBOOK:
        return digest_test(data, train, key)

    def read() -> dict[str, Any]:
        return {"train": train.digest(), **digest_test(data, train, key)}

    beside = train.digest() if key == "test" else f"{train.digest()} {key}"
    found = _remembered(data, beside, test_files(data, key), cache, read)
    return {"pairs": found["pairs"], "sha256": found["sha256"]}


def _remembered(
    data: DataConfig,
    beside: str,
    paths: list[Path],
    cache: Path,
    read: Callable[[], dict[str, Any]],
    is_whole: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """What is read of files, now or once before. beside: what else decides it."""
    folder, before = cache / "corpora", _name(data, beside, paths)
    file = folder / f"{before}.json"
    make_folder(folder)
    with locked(folder / "lock"):
        with suppress(Damaged):  # or missing: then it is read again
            if is_whole(record := read_sealed(file)):
                return record
        started, record = time.time(), read()
        newest = max((path.stat().st_ctime for path in paths), default=0.0)
        if _name(data, beside, paths) != before:
            raise UserError(f"data.path: {data.path}: was changed while it was read; start again")
        if newest < started - SETTLED:
            try:
                write_sealed(file, record)
            except OSError as error:
                raise unwritable(file, error) from None
        return record


def _check_disk(data: DataConfig, paths: list[Path], cache: Path) -> None:
    """Raises UserError where the disk can't hold the text and its ids."""
    size = sum(path.stat().st_size * (UNPACKED if path.suffix in PACKED else 1) for path in set(paths))
    needed, free = size * PREPARED, shutil.disk_usage(cache).free
    if needed > free:
        raise UserError(
            f"output_dir: {cache} has {decimal(free)} of disk left, and {data.path}, prepared, takes about "
            f"{decimal(round(needed))}; name a folder on a larger disk"
        )


def record_of(corpus: Corpus) -> dict[str, Any]:
    """All but the training text, of which it has the digest."""
    return {"train": corpus.train.digest(), "valid": asdict(corpus.valid), "warnings": corpus.warnings}


def _load(record: dict[str, Any], cache: Path) -> Corpus:
    """The corpus of a record whose training text is in the cache."""
    return Corpus(load(cache / "texts", record["train"]), Split(**record["valid"]), record["warnings"])


def _name(data: DataConfig, beside: str, paths: list[Path]) -> str:
    """The same for the same files, read the same way by the same code."""
    facts = [[str(path), *(getattr(path.stat(), f"st_{fact}") for fact in FACTS)] for path in paths]
    return digest([data.model_dump(exclude=set(LATER)), beside, facts, _code()])


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the code and tables that read a corpus: another version may read the same files otherwise."""
    code = hashlib.sha256()
    folder = Path(str(files("trainables.data")))
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".gz")):
        code.update(file.read_bytes())
    return code.hexdigest()
