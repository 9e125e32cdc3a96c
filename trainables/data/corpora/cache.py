"""The corpus as it was read: once from its own files, then from the cache.

A run's cache knows a corpus again by the path, size and times of its files. A node that does not see these files has a
record that was brought to it.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from trainables.base.config import digest
from trainables.base.data_config import PHRASEBOOK, DataConfig
from trainables.base.errors import UserError
from trainables.base.files import make_folder, unwritable, write_atomically
from trainables.base.locks import locked
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
        return load_record((cache / BROUGHT).read_bytes(), cache)
    paths = training_files(data)

    def read() -> bytes:
        _check_disk(data, paths, cache)
        return record_of(read_corpus(data, cache / "texts"))

    def is_whole(content: bytes) -> bool:
        return is_stored(cache / "texts", json.loads(content)["train"])

    return load_record(_remembered(data, "", paths, cache, read, is_whole), cache)


def cached_test_digest(data: DataConfig, train: Text, cache: Path, key: str = "test") -> dict[str, Any]:
    """As `digest_test`, which reads the test split, unless it has read these files before. Raises UserError."""
    if data.path == PHRASEBOOK:
        return digest_test(data, train, key)

    def read() -> bytes:
        return json.dumps({"train": train.digest(), **digest_test(data, train, key)}).encode()

    beside = train.digest() if key == "test" else f"{train.digest()} {key}"
    found: dict[str, Any] = json.loads(_remembered(data, beside, test_files(data, key), cache, read))
    return {"pairs": found["pairs"], "sha256": found["sha256"]}


def _remembered(
    data: DataConfig,
    beside: str,
    paths: list[Path],
    cache: Path,
    read: Callable[[], bytes],
    is_whole: Callable[[bytes], bool] = lambda _: True,
) -> bytes:
    """What is read of files, now or once before. beside: what else decides it."""
    folder, before = cache / "corpora", _name(data, beside, paths)
    record = folder / f"{before}.json"
    make_folder(folder)
    with locked(folder / "lock"):
        if record.exists() and is_whole(content := record.read_bytes()):
            return content
        started, content = time.time(), read()
        newest = max((path.stat().st_ctime for path in paths), default=0.0)
        if _name(data, beside, paths) != before:
            raise UserError(f"data.path: {data.path}: was changed while it was read; start again")
        if newest < started - SETTLED:
            try:
                write_atomically(record, content)
            except OSError as error:
                raise unwritable(record, error) from None
        return content


def _check_disk(data: DataConfig, paths: list[Path], cache: Path) -> None:
    """Raises UserError where the disk can't hold the text and its ids."""
    size = sum(path.stat().st_size * (UNPACKED if path.suffix in PACKED else 1) for path in set(paths))
    needed, free = size * PREPARED, shutil.disk_usage(cache).free
    if needed > free:
        raise UserError(
            f"output_dir: {cache} has {decimal(free)} of disk left, and {data.path}, prepared, takes about "
            f"{decimal(round(needed))}; name a folder on a larger disk"
        )


def record_of(corpus: Corpus) -> bytes:
    """All but the training text, of which it has the digest."""
    told = {"train": corpus.train.digest(), "valid": asdict(corpus.valid), "warnings": corpus.warnings}
    return json.dumps(told, ensure_ascii=False).encode()


def load_record(content: bytes, cache: Path) -> Corpus:
    """The corpus of a record whose training text is in the cache."""
    record = json.loads(content)
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
