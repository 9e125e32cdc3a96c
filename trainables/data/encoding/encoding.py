"""Training text to ids, once: in parts that all processes of a machine map into memory.

A part depends on the text, the tokenizer and its number alone, so parts are made by as many processes as there are
cores. It takes every n-th block of the text, so that it is a fair sample.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from trainables.base.data_config import DataConfig
from trainables.base.ending import end_with_parent
from trainables.base.errors import UserError
from trainables.base.files import make_folder
from trainables.base.locks import locked
from trainables.base.sealing import write_sealed
from trainables.data.encoding.encoded_text import INDEX, EncodedText, Part, index_of
from trainables.data.encoding.part_encoder import Job, PartEncoder
from trainables.data.encoding.sequences import EncodedSplit, Sequences
from trainables.data.encoding.tokenizer import Tokenizer
from trainables.data.reading.text import Split, StoredText, verify


def encode_split(split: Split, tokenizer: Tokenizer) -> EncodedSplit:
    """The ids of a split that is evaluated: in memory, and nothing dropped or cut."""
    return EncodedSplit(
        Sequences.pack(tokenizer.encode_source(split.source)), Sequences.pack(tokenizer.encode_target(split.target))
    )


def encode_text(text: StoredText, tokenizer_folder: Path, data: DataConfig, cache: Path) -> EncodedText:
    """A stored text in ids, from the cache or encoded into it.

    Processes that ask at the same time wait for the first, and parts that a killed one has written are kept. Raises
    UserError for a full disk, and for a text that was changed.
    """
    job = Job.of(text, tokenizer_folder, data, cache)
    make_folder(job.folder)
    with locked(job.folder / "lock"):
        if index_of(job.folder) is None:
            if not verify(text):
                raise UserError(f"{text.folder}: was changed; remove it, then start again")
            parts = _encode_parts(job)
            index = {
                "text": job.text,
                "ids": job.ids,
                "lengths": job.lengths,
                "parts": [asdict(part) for part in parts],
            }
            write_sealed(job.folder / INDEX, index)
    return EncodedText(job.folder)


def _encode_parts(job: Job) -> list[Part]:
    """All parts: by this process if there is one, else by as many as there are cores."""
    processes = min(job.num_parts, cores())
    if processes == 1:
        encoder = PartEncoder(job)
        return [encoder.encode(number) for number in range(job.num_parts)]
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, spawn, initializer=_begin, initargs=(job, os.getpid())) as pool:
            return list(pool.map(_encode, range(job.num_parts)))
    except BrokenProcessPool:
        raise UserError(f"{job.folder}: a process that encodes was killed, perhaps for lack of memory") from None


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


_encoder: "PartEncoder"  # of one of the processes


def _begin(job: Job, parent: int) -> None:
    global _encoder
    end_with_parent(parent)
    _encoder = PartEncoder(job)


def _encode(number: int) -> Part:
    return _encoder.encode(number)
