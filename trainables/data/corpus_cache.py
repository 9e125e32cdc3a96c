"""The corpus as it was read: once from its own files, then from the cache.

A run's cache knows a corpus again by the path, size and times of its files. A node that does not see these files has a
record that was brought to it.
"""

import hashlib
import json
import shutil
import time
from dataclasses import asdict
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from rich.filesize import decimal

from trainables.base.config import digest
from trainables.base.errors import UserError
from trainables.base.files import make_folder, unwritable, write_atomically
from trainables.base.locks import locked
from trainables.base.translation_config import PHRASEBOOK, DataConfig
from trainables.data.corpus import Corpus, read_corpus
from trainables.data.finding import find_files
from trainables.data.text import Split, is_stored, load

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
    paths = _paths(data)
    record = cache / "corpora" / f"{_name(data, paths)}.json"
    make_folder(record.parent)
    with locked(record.parent / "lock"):
        if record.exists():
            content = record.read_bytes()
            if is_stored(cache / "texts", json.loads(content)["train"]):
                return load_record(content, cache)
        _check_disk(data, paths, cache)
        before, started = _name(data, paths), time.time()
        corpus = read_corpus(data, cache / "texts")
        newest = max((path.stat().st_ctime for path in paths), default=0.0)
        if _name(data, paths) != before:
            raise UserError(f"data.path: {data.path}: was changed while it was read; start again")
        if newest < started - SETTLED:
            try:
                write_atomically(cache / "corpora" / f"{before}.json", record_of(corpus))
            except OSError as error:
                raise unwritable(record, error) from None
        return corpus


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


def _paths(data: DataConfig) -> list[Path]:
    """The files that the corpus is read from."""
    if data.path == PHRASEBOOK:
        return []
    return [path for split in (data.train, data.valid) for path in find_files(data, split)]


def _name(data: DataConfig, paths: list[Path]) -> str:
    """The same for the same files, read the same way by the same code."""
    facts = [[str(path), *(getattr(path.stat(), f"st_{fact}") for fact in FACTS)] for path in paths]
    return digest([data.model_dump(exclude=set(LATER)), facts, _code()])


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the code and tables that read a corpus: another version may read the same files otherwise."""
    code = hashlib.sha256()
    folder = Path(str(files("trainables.data")))
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".gz")):
        code.update(file.read_bytes())
    return code.hexdigest()
