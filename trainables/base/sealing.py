"""Records with a checksum, so that damage to a file is noticed when it is read."""

import hashlib
import json
from pathlib import Path
from typing import Any

from trainables.base.errors import UserError
from trainables.base.files import parse_json, read_bytes, write_atomically

RESTORE = "restore the run from a copy, or start a new search"  # what to do
SEAL = "seal"


class Damaged(UserError):
    """A file differs from what was written."""


class Record(dict[str, Any]):
    """A record that was read; a missing key raises Damaged."""

    def __init__(self, values: dict[str, Any], where: str):
        super().__init__(values)
        self.where = where

    def __missing__(self, key: str) -> Any:
        raise Damaged(f"{self.where}: is damaged: it lacks {key}; restore it from a copy")


def checksum(value: Any) -> str:
    """A short hash of a plain value, the same after it was written as JSON and read."""
    plain = json.loads(json.dumps(value))  # JSON turns keys into strings, and tuples into lists
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its checksum."""
    return {**record, SEAL: checksum(record)}


def unsealed(record: Any, where: str) -> dict[str, Any]:
    """The record without its checksum; records of version 0.1 have none.

    Raises Damaged; the record raises it later for a missing key.
    """
    if not isinstance(record, dict):
        raise Damaged(f"{where}: is damaged: not what was written there; restore it from a copy")
    rest = {key: value for key, value in record.items() if key != SEAL}
    if SEAL in record and record[SEAL] != checksum(rest):
        raise Damaged(f"{where}: is damaged: its checksum is another; restore it from a copy")
    return Record(rest, where)


def write_sealed(file: Path, record: dict[str, Any]) -> None:
    """Replace the file by the record with its checksum, as JSON."""
    write_atomically(file, json.dumps(sealed(record), indent=1, ensure_ascii=False))


def read_sealed(file: Path) -> dict[str, Any]:
    """The record that `write_sealed` wrote. Raises Damaged."""
    try:
        record = parse_json(read_bytes(file))
    except FileNotFoundError:
        raise Damaged(f"{file}: is missing; restore it from a copy") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise Damaged(f"{file}: is damaged: {reason}; restore it from a copy") from None
    return unsealed(record, str(file))
