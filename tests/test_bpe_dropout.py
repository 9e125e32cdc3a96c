"""BPE-dropout: without it sentencepiece's own pieces, with it other pieces of the same text."""

import io
import random
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import sentencepiece
import torch
from corpora import ENGLISH, text_of, write_digits
from hypothesis import given
from hypothesis import strategies as st
from test_training import tiny
from torch import Tensor

from model.special_tokens import BOS, EOS, PAD, UNK
from trainables.data.encoding.bpe_dropout import BpeDropout, VariedPieces


def bpe(lines: Sequence[str], size: int, **settings: Any) -> sentencepiece.SentencePieceProcessor:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="bpe",
        vocab_size=size,
        minloglevel=2,
        pad_id=PAD,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        **settings,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())


@pytest.fixture(scope="module")
def model() -> sentencepiece.SentencePieceProcessor:
    draw = random.Random(1)
    words = ["".join(draw.choices("abcde", k=draw.randint(1, 8))) for _ in range(60)]
    lines = [" ".join(draw.choices(words, k=6)) for _ in range(300)]
    return bpe(lines, 90, character_coverage=1.0, byte_fallback=False)


@given(st.text("abcde z\u4e00", max_size=40))
def test_without_dropout_pieces_are_those_of_sentencepiece(
    model: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    ids = model.encode(text)
    assert BpeDropout(model, 0.0)(ids, random.Random(1).random) == ids


@given(st.text("abcde z", max_size=40), st.floats(0, 1), st.integers(0, 1000))
def test_other_pieces_are_of_the_same_text(
    model: sentencepiece.SentencePieceProcessor, text: str, probability: float, seed: int
) -> None:
    ids = model.encode(text)
    varied = BpeDropout(model, probability)(ids, random.Random(seed).random)
    assert model.decode(varied) == model.decode(ids)
    assert len(varied) >= len(ids) or probability > 0


def test_a_merge_is_left_out_as_often_as_asked() -> None:
    model = bpe(["ab"] * 5, 9, add_dummy_prefix=False, hard_vocab_limit=False)
    (ids,) = {tuple(model.encode("ab"))}
    assert len(ids) == 1
    drop, draw = BpeDropout(model, 0.3), random.Random(5).random
    lengths = Counter(len(drop(ids, draw)) for _ in range(4000))
    assert lengths[2] / 4000 == pytest.approx(0.3, abs=0.03) and lengths[1] + lengths[2] == 4000


def test_sentences_grow_as_sentencepieces_own_samples_do() -> None:
    model = bpe(ENGLISH, 200, hard_vocab_limit=False)
    for probability in (0.1, 0.5):
        drop, draw = BpeDropout(model, probability), random.Random(1).random
        ours = fmean(len(drop(model.encode(line), draw)) for line in ENGLISH for _ in range(20))
        theirs = fmean(
            len(model.encode(line, enable_sampling=True, alpha=probability)) for line in ENGLISH for _ in range(20)
        )
        assert ours == pytest.approx(theirs, rel=0.1)


def test_pieces_without_characters_stay_as_they_are() -> None:
    model = bpe(["ab ab abab ba"] * 5, 270, byte_fallback=True, hard_vocab_limit=False)
    ids = model.encode("ab 一 ab")
    assert any(model.is_byte(piece) for piece in ids)
    assert model.decode(BpeDropout(model, 1.0)(ids, random.Random(1).random)) == "ab 一 ab"


def equal(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    both = zip(chain(*first), chain(*second), strict=True)
    return all(torch.equal(one, other) for one, other in both)


def test_batches_depend_on_seed_epoch_and_step_alone(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "corpus")
    config = tiny(folder, training__bpe_dropout=0.3)
    text, plain = text_of(config, tmp_path / "cache"), tiny(folder).training
    first, again, other = (list(text.batches(config.training, 1, epoch, 0)) for epoch in (1, 1, 2))
    assert equal(first, again)
    late = list(text.batches(config.training, 1, 1, 2))
    assert all(
        torch.equal(a, b) for one, two in zip(first[2:], late, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert [batch[0].shape[0] for batch in first] == [batch[0].shape[0] for batch in text.batches(plain, 1, 1, 0)]
    decode = text.tokenizer.decode_target

    def sentences(batches: list[tuple[Tensor, Tensor]]) -> list[str]:
        rows = [row for _, target in batches for row in target.tolist()]
        return decode([[piece for piece in row if piece not in (PAD, BOS, EOS)] for row in rows])

    assert sentences(first) == sentences(list(text.batches(plain, 1, 1, 0)))
    assert sorted(sentences(first)) == sorted(sentences(other))


def test_a_sentence_that_would_be_too_long_stays_as_it_is(model: sentencepiece.SentencePieceProcessor) -> None:
    piece = next(piece for piece in range(4, model.get_piece_size()) if len(model.id_to_piece(piece)) > 3)
    batch = torch.tensor([[piece, EOS]]), torch.tensor([[BOS, piece, EOS]])
    drop = BpeDropout(model, 1.0)
    longer, same = VariedPieces(drop, drop, 20)(batch, "1"), VariedPieces(drop, drop, 2)(batch, "1")
    assert longer[0].shape[1] > 2 and longer[1].shape[1] == longer[0].shape[1] + 1
    assert torch.equal(same[0], batch[0]) and torch.equal(same[1], batch[1])
