"""Training text to ids, once: in parts that all processes of a machine map into memory.

A part depends on the text, the tokenizer and its number alone, so parts are made by as many processes as there are
cores. It takes every n-th block of the text, so that it is a fair sample.
"""

import hashlib
import json
import multiprocessing
import os
from array import array
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import sentencepiece

from model.special_tokens import BOS, EOS
from trainables.base.config import digest
from trainables.base.ending import end_with_parent
from trainables.base.errors import UserError
from trainables.base.files import make_folder, unwritable, write_atomically
from trainables.base.installed import version_of
from trainables.base.locks import locked
from trainables.base.translation_config import DataConfig
from trainables.data.sequences import EncodedSplit, Sequences, offsets_of
from trainables.data.text import BLOCK, Split, StoredText, load
from trainables.data.tokenizer import Tokenizer, load_tokenizer

PART = 32 * BLOCK  # pairs: about 25 MB
MEMORY = 52 << 20  # bytes, for the words that the encoders of a process know
OF_A_WORD = 170  # bytes that Python takes for a word besides its characters and ids
SPACE_SIGN = "\u2581"  # sentencepiece's own sign for a space: in a line that has it, words depend on their neighbours
INDEX = "index.json"  # written last: a folder that has it is whole
FORMAT = 1  # is raised when parts are written otherwise


@dataclass(frozen=True)
class Part:
    """A file of ids of the source, ids of the target, then how many each source has, and each target."""

    pairs: int
    overlong: int
    source_ids: int
    target_ids: int
    sha256: str


class EncodedText:
    """A text in ids, whose parts are mapped into memory as they are asked for; see `sequences.Encoded`."""

    def __init__(self, folder: Path):
        """Read the index that `encode_text` wrote."""
        index = json.loads((folder / INDEX).read_text())
        self._folder, self._ids, self._lengths = folder, np.dtype(index["ids"]), np.dtype(index["lengths"])
        self._parts = [Part(**part) for part in index["parts"]]
        self._open: tuple[int, EncodedSplit] | None = None

    def __len__(self) -> int:
        return sum(part.pairs for part in self._parts)

    @property
    def overlong(self) -> int:
        """Pairs with a side above the limit, which were dropped or cut."""
        return sum(part.overlong for part in self._parts)

    @property
    def target_tokens(self) -> int:
        """Tokens that are predicted in one pass: all but BOS."""
        return sum(part.target_ids for part in self._parts) + len(self)

    @property
    def num_parts(self) -> int:
        """The number of parts."""
        return len(self._parts)

    def part(self, number: int) -> EncodedSplit:
        """A part, which stays mapped until another is asked for."""
        if self._open is None or self._open[0] != number:
            self._open = number, self._map(number)
        return self._open[1]

    def _map(self, number: int) -> EncodedSplit:
        part, file = self._parts[number], self._folder / name_of(number)
        sizes = [(self._ids, part.source_ids), (self._ids, part.target_ids), *[(self._lengths, part.pairs)] * 2]
        ends = np.cumsum([dtype.itemsize * size for dtype, size in sizes])
        try:
            content = np.asarray(np.memmap(file, np.uint8, "r")) if part.pairs else np.zeros(0, np.uint8)
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: can't be read: {error}; remove {self._folder}, then start again") from None
        if len(content) != ends[-1]:
            raise UserError(f"{file}: was changed; remove {self._folder}, then start again")
        pieces = [piece.view(dtype) for piece, (dtype, _) in zip(np.split(content, ends[:-1]), sizes, strict=True)]
        source, target, *lengths = pieces
        offsets = [offsets_of(each) for each in lengths]
        return EncodedSplit(
            Sequences(source, offsets[0], last=EOS), Sequences(target, offsets[1], BOS, EOS), part.overlong
        )


def name_of(number: int) -> str:
    """The name of the file of a part."""
    return f"part-{number:05}"


def encode_split(split: Split, tokenizer: Tokenizer) -> EncodedSplit:
    """The ids of a split that is evaluated: in memory, and nothing dropped or cut."""
    return EncodedSplit(
        Sequences.pack(tokenizer.encode_source(split.source)), Sequences.pack(tokenizer.encode_target(split.target))
    )


def encode_text(text: StoredText, tokenizer_folder: Path, data: DataConfig, cache: Path) -> EncodedText:
    """A stored text in ids, from the cache or encoded into it.

    Processes that ask at the same time wait for the first, and parts that a killed one has written are kept. Raises
    UserError for a full disk.
    """
    job = Job.of(text, tokenizer_folder, data, cache)
    make_folder(job.folder)
    with locked(job.folder / "lock"):
        if not (job.folder / INDEX).exists():
            parts = _encode_parts(job)
            index = {
                "text": job.text,
                "ids": job.ids,
                "lengths": job.lengths,
                "parts": [asdict(part) for part in parts],
            }
            write_atomically(job.folder / INDEX, json.dumps(index))
    return EncodedText(job.folder)


@dataclass(frozen=True)
class Job:
    """All that decides the parts of a text, and where they are written."""

    texts: Path
    text: str  # its digest
    pairs: int
    tokenizer: Path
    folder: Path
    ids: str  # the type of an id
    lengths: str  # the type of a length
    longest: int  # ids of a side, without special tokens
    drop: bool  # pairs with a longer side; else they are cut

    @classmethod
    def of(cls, text: StoredText, tokenizer_folder: Path, data: DataConfig, cache: Path) -> "Job":
        """The job of a stored text."""
        models = sorted(tokenizer_folder.glob("*.model"))
        tokenizer = load_tokenizer(tokenizer_folder)
        vocabulary = max(tokenizer.source_vocab, tokenizer.target_vocab)
        decided = [
            [FORMAT, text.sha256, data.max_tokens, data.overlong, version_of("sentencepiece")],
            [[model.name, hashlib.sha256(model.read_bytes()).hexdigest()] for model in models],
        ]
        return cls(
            text.texts,
            text.sha256,
            len(text),
            tokenizer_folder,
            cache / "encoded" / digest(decided),
            "uint16" if vocabulary <= 1 << 16 else "uint32",
            "uint8" if data.max_tokens <= 256 else "uint16" if data.max_tokens <= 1 << 16 else "uint32",
            data.max_tokens - 1,
            data.overlong == "drop",
        )

    @property
    def bytes_of_id(self) -> int:
        """The bytes that an id takes."""
        return np.dtype(self.ids).itemsize

    @property
    def num_parts(self) -> int:
        """As few as hold at most PART pairs each."""
        return max(1, -(-self.pairs // PART))


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


class PartEncoder:
    """Writes parts of a text."""

    def __init__(self, job: Job):
        """Load what the job names."""
        self.job, self.text, tokenizer = job, load(job.texts, job.text), load_tokenizer(job.tokenizer)
        if tokenizer.source is tokenizer.target:
            self.encoders = (LineEncoder(tokenizer.source, job.ids, MEMORY),) * 2
        else:
            source, target = (LineEncoder(side, job.ids, MEMORY // 2) for side in (tokenizer.source, tokenizer.target))
            self.encoders = source, target

    def encode(self, number: int) -> Part:
        """Write a part, or find it written. Raises UserError."""
        file = self.job.folder / name_of(number)
        facts = file.with_suffix(".json")
        try:
            if facts.exists():
                return Part(**json.loads(facts.read_text()))
            part, content = self.part(number)
            write_atomically(file, content)
            write_atomically(facts, json.dumps(asdict(part)))
            return part
        except OSError as error:
            raise unwritable(file, error) from None

    def part(self, number: int) -> tuple[Part, bytearray]:
        """A part, and the content of its file."""
        content, *others = [bytearray() for _ in range(4)]  # ids of both sides, lengths of both
        sides, overlong = (content, *others), 0
        for block in self.text.blocks(number, self.job.num_parts):
            encoded = [encoder(lines) for encoder, lines in zip(self.encoders, block, strict=True)]
            encoded, over = self._limited(encoded)
            overlong += over
            for ids, lengths, lines in zip(sides[:2], sides[2:], encoded, strict=True):
                ids.extend(b"".join(lines))
                counts = np.fromiter(map(len, lines), np.int64, len(lines)) // self.job.bytes_of_id
                lengths.extend(counts.astype(self.job.lengths).tobytes())
        source_ids, target_ids = (len(side) // self.job.bytes_of_id for side in sides[:2])
        pairs = len(sides[2]) // np.dtype(self.job.lengths).itemsize
        while others:
            content += others.pop(0)
        return Part(pairs, overlong, source_ids, target_ids, hashlib.sha256(content).hexdigest()), content

    def _limited(self, sides: list[list[bytes]]) -> tuple[list[list[bytes]], int]:
        """The sides of a block with pairs that are too long dropped or cut, and how many these were."""
        most = self.job.longest * self.job.bytes_of_id
        fits = [len(source) <= most and len(target) <= most for source, target in zip(*sides, strict=True)]
        overlong = fits.count(False)
        if overlong and self.job.drop:
            return [list(compress(side, fits)) for side in sides], overlong
        if overlong:
            return [[line[:most] for line in side] for side in sides], overlong
        return sides, 0


class LineEncoder(dict[str, bytes]):
    """Encodes lines by the ids of their words, which are the same in each line: no piece of ours crosses a space.

    It holds the ids of words that it has met, until memory is full: a word that is frequent is met early.
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor, ids: str, memory: int):
        """ids: the type of an id; memory: bytes that the words it knows may take."""
        super().__init__()
        self._processor, self._code = processor, np.dtype(ids).char
        self._room = memory

    def __call__(self, lines: Sequence[str]) -> list[bytes]:
        """The ids of each line, without special tokens."""
        if SPACE_SIGN in "\n".join(lines):
            return [self._encode(line) if SPACE_SIGN in line else self._by_words(line) for line in lines]
        return list(map(self._by_words, lines))

    def _by_words(self, line: str) -> bytes:
        return b"".join(map(self.__getitem__, line.split(" ")))

    def __missing__(self, word: str) -> bytes:
        ids = self._encode(word)
        self._room -= len(word) + len(ids) + OF_A_WORD
        if self._room > 0:
            self[word] = ids
        return ids

    def _encode(self, text: str) -> bytes:
        return array(self._code, self._processor.encode(text)).tobytes()
