"""Training text in the ids of a pretrained model, once: in parts that all processes of a machine map into memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from trainables.base.config import digest
from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.files import digest_of, make_folder, unwritable, write_atomically
from trainables.base.installed import version_of
from trainables.base.locks import locked
from trainables.base.pretrained_config import PretrainedConfig
from trainables.base.sealing import write_sealed
from trainables.data.encoding.encoded_text import INDEX, EncodedText, Part, index_of, name_of
from trainables.data.encoding.part_encoder import PART
from trainables.data.reading.text import StoredText, verify
from trainables.pretrained.codec import Codec
from trainables.pretrained.model_files import SMALL, files_of

IDS, LENGTHS = "uint32", "uint32"
FORMAT = 1  # is raised when parts are written otherwise
NOTHING_AROUND = [[None, None], [None, None]]  # the ids of a sequence are all there


def encode_text(
    text: StoredText, codec: Codec, settings: PretrainedConfig, data: DataConfig, cache: Path
) -> EncodedText:
    """A stored text in the ids of a pretrained model, from the cache or encoded into it.

    Processes that ask at the same time wait for the first. Raises UserError for a full disk, and for a text that was
    changed.
    """
    files = [[name, digest_of(file)] for name, file in files_of(settings, SMALL).items()]
    languages = [settings.source, settings.target, settings.prefix]
    limits = [data.max_tokens, data.overlong, version_of("transformers")]
    folder = cache / "encoded" / digest([FORMAT, text.sha256, files, languages, limits])
    make_folder(folder)
    with locked(folder / "lock"):
        if index_of(folder) is None:
            if not verify(text):
                raise UserError(f"{text.folder}: was changed; remove it, then start again")
            count = max(1, -(-len(text) // PART))
            parts = [_write_part(folder / name_of(number), text, number, count, codec, data) for number in range(count)]
            index = {"text": text.sha256, "ids": IDS, "lengths": LENGTHS, "around": NOTHING_AROUND}
            write_sealed(folder / INDEX, index | {"parts": [asdict(part) for part in parts]})
    return EncodedText(folder)


def _write_part(file: Path, text: StoredText, number: int, parts: int, codec: Codec, data: DataConfig) -> Part:
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    overlong = 0
    for block in text.blocks(number, parts):
        pairs, over = _limited(codec.encode_source(block[0]), codec.encode_target(block[1]), data)
        overlong += over
        for side, ids in zip(sides, pairs, strict=True):
            side.extend(ids)
    ids = [np.concatenate(side).astype(IDS) if side else np.zeros(0, IDS) for side in sides]
    lengths = [np.fromiter(map(len, side), LENGTHS, len(side)) for side in sides]
    content = b"".join(array.tobytes() for array in (*ids, *lengths))
    try:
        write_atomically(file, content)
    except OSError as error:
        raise unwritable(file, error) from None
    return Part(len(sides[0]), overlong, len(ids[0]), len(ids[1]), hashlib.sha256(content).hexdigest())


def _limited(
    source: Sequence[np.ndarray], target: Sequence[np.ndarray], data: DataConfig
) -> tuple[tuple[list[np.ndarray], list[np.ndarray]], int]:
    """The pairs of a block without those that are too long, or with these cut; and how many these were."""
    kept: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    most, overlong = data.max_tokens, 0
    for pair in zip(source, target, strict=True):
        if len(pair[0]) > most or len(pair[1]) - 1 > most:
            overlong += 1
            if data.overlong == "drop":
                continue
            pair = _cut(pair[0], most), _cut(pair[1], most + 1)
        for side, ids in zip(kept, pair, strict=True):
            side.append(ids)
    return kept, overlong


def _cut(ids: np.ndarray, most: int) -> np.ndarray:
    """The first ids, and the last one, which ends the sequence."""
    return ids if len(ids) <= most else np.concatenate([ids[: most - 1], ids[-1:]])
