"""Checks whether a W&B run on disk is complete, by the checksums of its records in the format of LevelDB logs."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # generated on import

HEADER = b":W&B\xe1\xbe\x00"  # of the file; the last byte is the version of the format
BLOCK_BYTES = 32768
CHUNK = Struct("<IHB")  # checksum of the rest, length, kind of chunk
FULL, LAST = 1, 4  # the kinds of chunks that end a record


class Torn(Exception):
    """The file ends within a record, or a record is damaged."""


def is_whole(folder: Path, reports: int | None = None) -> bool:
    """Whether the run in this folder was written to its end, and, if `reports` is given, has so many."""
    try:
        (file,) = folder.glob("*.wandb")
        kinds = list(_kinds(file.read_bytes()))
    except (OSError, ValueError, Torn):
        return False
    return kinds[-1:] == ["exit"] and reports in (None, kinds.count("history"))


def _kinds(content: bytes) -> Iterator[str]:
    """The kind of each record, such as "history". Raises Torn."""
    if not content.startswith(HEADER):
        raise Torn
    place, record = len(HEADER), b""
    while place < len(content):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < CHUNK.size:  # the end of a block is zeros if no chunk fits
            place += left
            continue
        if len(content) < place + CHUNK.size:
            raise Torn
        checksum, length, part = CHUNK.unpack_from(content, place)
        place += CHUNK.size
        data = content[place : place + length]
        if len(data) < length or zlib.crc32(bytes([part]) + data) != checksum:
            raise Torn
        place, record = place + length, record + data
        if part in (FULL, LAST):
            yield str(Record.FromString(record).WhichOneof("record_type"))
            record = b""
    if record:
        raise Torn
