"""Writes the parts of a text in ids."""

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from trainables.base.config import digest
from trainables.base.data_config import DataConfig
from trainables.base.files import unwritable, write_atomically
from trainables.base.installed import version_of
from trainables.base.sealing import Damaged, read_sealed, write_sealed
from trainables.data.encoding.encoded_text import Part, name_of
from trainables.data.encoding.line_encoder import LineEncoder
from trainables.data.encoding.tokenizer import load_tokenizer
from trainables.data.reading.text import BLOCK, StoredText, load

PART = 32 * BLOCK  # pairs: about 25 MB
MEMORY = 52 << 20  # bytes, for the words that the encoders of a process know
FORMAT = 1  # is raised when parts are written otherwise


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
            with suppress(Damaged):  # or missing: then it is encoded
                return Part(**read_sealed(facts))
            part, content = self.part(number)
            write_atomically(file, content)
            write_sealed(facts, asdict(part))
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
