"""sentencepiece tokenizers: trained once for all trials that share them."""

import hashlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from model.special_tokens import BOS, EOS, PAD, UNK
from trainables.base.config import digest
from trainables.base.ending import end_with_parent
from trainables.base.errors import UserError
from trainables.base.files import make_folder, write_atomically
from trainables.base.locks import locked
from trainables.base.temporary import temporary_folder
from trainables.base.translation_config import TokenizerConfig
from trainables.base.wording import count
from trainables.data.corpora.corpus import Corpus
from trainables.data.reading.text import Lines

LARGE = 100_000  # lines, from which on a tokenizer is trained in a process of its own
SEED = 1  # of the sample of lines


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back, one model a side; a shared vocabulary is the same model twice."""

    source: sentencepiece.SentencePieceProcessor
    target: sentencepiece.SentencePieceProcessor

    @property
    def source_vocab(self) -> int:
        """The size of the source vocabulary."""
        return int(self.source.get_piece_size())

    @property
    def target_vocab(self) -> int:
        """The size of the target vocabulary."""
        return int(self.target.get_piece_size())

    def digest(self) -> str:
        """A hash of the pieces and their scores: equal for tokenizers that were trained alike."""
        sides = [
            [(side.id_to_piece(i), side.get_score(i)) for i in range(len(side))] for side in (self.source, self.target)
        ]
        return hashlib.sha256(repr(sides).encode()).hexdigest()

    def encode_source(self, sentences: list[str]) -> list[np.ndarray]:
        """Ids of each sentence, EOS at the end."""
        return [np.array([*ids, EOS], dtype=np.int32) for ids in self.source.encode(sentences, num_threads=1)]

    def encode_target(self, sentences: list[str]) -> list[np.ndarray]:
        """Ids of each sentence between BOS and EOS."""
        return [np.array([BOS, *ids, EOS], dtype=np.int32) for ids in self.target.encode(sentences, num_threads=1)]

    def decode_target(self, ids: list[list[int]]) -> list[str]:
        """Detokenised text."""
        return list(self.target.decode(ids, num_threads=1)) if ids else []

    def unwritable(self, references: list[str]) -> list[tuple[str, str]]:
        """References that no model can write with these pieces, each with what comes nearest; white space aside."""
        nearest = self.decode_target([ids[1:-1].tolist() for ids in self.encode_target(references)])
        pairs = zip(references, nearest, strict=True)
        return [(wanted, written) for wanted, written in pairs if wanted.split() != written.split()]

    def source_pieces(self, ids: list[int]) -> list[str]:
        """The pieces as sentencepiece writes them, "▁" for a space; special ones as "<s>"."""
        return [str(self.source.id_to_piece(piece)) for piece in ids]

    def target_pieces(self, ids: list[int]) -> list[str]:
        """As `source_pieces`."""
        return [str(self.target.id_to_piece(piece)) for piece in ids]


def train_tokenizer(config: TokenizerConfig, corpus: Corpus, cache: Path) -> Tokenizer:
    """The tokenizer of this training text, from the cache folder or trained into it.

    Processes that ask at the same time wait for the first. Raises UserError when the text has too few
    pieces for the vocabulary size.
    """
    folder = tokenizer_folder(config, corpus, cache)
    make_folder(folder)
    source, target = corpus.train.sides
    models = {"tokenizer": (source, target)} if config.shared else {"source": (source,), "target": (target,)}
    with locked(folder / "lock"):
        for name, sides in models.items():
            file = folder / f"{name}.model"
            if config.taken_from is not None:
                taken = _taken(Path(config.taken_from) / file.name)
                if not _is_whole(file) or file.read_bytes() != taken:
                    keep_model(file, taken)
            elif not _is_whole(file):
                keep_model(file, _train_apart(config, sides))
    return load_tokenizer(folder)


def _taken(file: Path) -> bytes:
    """A model of another run. Raises UserError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(
            f"tokenizer.taken_from: {file}: can't be read ({error.strerror}); name best/ of a run, whose tokenizer is "
            "shared or not as tokenizer.shared says"
        ) from None


def _train_apart(config: TokenizerConfig, sides: tuple[Sequence[str], ...]) -> bytes:
    """In a process of its own where memory counts, as sentencepiece keeps what it takes."""
    if sum(map(len, sides)) < LARGE or not all(isinstance(side, Lines) for side in sides):
        return _train_on_sample(config, sides)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        try:
            return pool.submit(_train_on_sample, config, sides).result()
        except BrokenProcessPool:
            raise UserError(
                "tokenizer: the process that trains it was killed, perhaps for lack of memory; lower "
                "tokenizer.sample_lines"
            ) from None


def _train_on_sample(config: TokenizerConfig, sides: tuple[Sequence[str], ...]) -> bytes:
    most = config.sample_lines and config.sample_lines // len(sides)
    return _train(config, [line for side in sides for line in sample(side, most)])


def sample(lines: Sequence[str], most: int | None) -> Iterator[str]:
    """At most so many of the lines, by chance, from all over the text; the same each time."""
    if most is None or len(lines) <= most:
        yield from lines
        return
    strata = (np.arange(most) + np.random.default_rng(SEED).random(most)) * (len(lines) / most)
    for place in np.unique(strata.astype(np.int64)).tolist():
        yield lines[place]


def keep_model(file: Path, model: bytes) -> None:
    """Write a model into the cache, and what it is known again by."""
    write_atomically(file, model)
    write_atomically(file.with_suffix(".sha256"), hashlib.sha256(model).hexdigest())


def _is_whole(file: Path) -> bool:
    """Whether the cache has the model as it was written there."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == file.with_suffix(".sha256").read_text()
    except (OSError, ValueError):
        return False


def tokenizer_folder(config: TokenizerConfig, corpus: Corpus, cache: Path) -> Path:
    """Where the cache holds it, by training text and settings."""
    return cache / "tokenizers" / name_tokenizer(config, corpus.fingerprint(), sentencepiece.__version__)


def name_tokenizer(config: TokenizerConfig, fingerprint: str, version: str) -> str:
    """The name of its folder. fingerprint: of the training text; version: of sentencepiece."""
    new = {"taken_from"} if config.taken_from is None else set()  # a key that version 0.1 lacked
    return digest([config.model_dump(exclude=new), fingerprint, version])


def load_tokenizer(folder: Path) -> Tokenizer:
    """From tokenizer.model, or source.model and target.model."""
    if (folder / "tokenizer.model").exists():
        shared = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return Tokenizer(shared, shared)
    source, target = (
        sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.model")) for side in ("source", "target")
    )
    return Tokenizer(source, target)


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write what `load_tokenizer` reads."""
    if tokenizer.source is tokenizer.target:
        (folder / "tokenizer.model").write_bytes(tokenizer.source.serialized_model_proto())
    else:
        (folder / "source.model").write_bytes(tokenizer.source.serialized_model_proto())
        (folder / "target.model").write_bytes(tokenizer.target.serialized_model_proto())


def _train(config: TokenizerConfig, sentences: list[str]) -> bytes:
    model = io.BytesIO()
    with temporary_folder() if config.normalization == "nfc" else nullcontext() as folder:
        rules: dict[str, Any] = {"normalization_rule_name": config.normalization}
        if folder:
            file = folder / "nfc.tsv"
            file.write_text("".join(_composing_rules()))
            rules = {"normalization_rule_tsv": str(file)}
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                model_type=config.kind,
                vocab_size=config.vocab_size,
                character_coverage=config.character_coverage,
                byte_fallback=config.byte_fallback,
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                minloglevel=2,
                **rules,
            )
        except RuntimeError as error:
            reason = str(error).strip().rsplit("] ", 1)[-1].split(" or decrease character_coverage")[0]
            raise UserError(
                f"tokenizer.vocab_size: {config.vocab_size} does not fit the training text of "
                f"{count(len(sentences), 'sentence', 'sentences')}: {reason}; "
                "if its single characters are too many, lower tokenizer.character_coverage, perhaps with "
                "tokenizer.byte_fallback"
            ) from error
    return model.getvalue()


def _composing_rules() -> Iterator[str]:
    """Lines that make NFC of text, which sentencepiece itself does not know: a spelling, tab, what becomes of it.

    They hold where a letter's marks follow it at once, in any order.
    """
    for letter in map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1))):
        composed = unicodedata.normalize("NFC", letter)
        base, *marks = list(unicodedata.normalize("NFD", letter))
        spellings = {letter} - {base}
        for order in permutations(marks):
            starts = (unicodedata.normalize("NFC", "".join((base, *order[:count]))) for count in range(len(marks) + 1))
            spellings |= {start + "".join(order[count:]) for count, start in enumerate(starts)}
        for spelling in spellings:
            if spelling not in (base, composed) and unicodedata.normalize("NFC", spelling) == composed:
                yield "\t".join(" ".join(f"{ord(each):X}" for each in text) for text in (spelling, composed)) + "\n"
