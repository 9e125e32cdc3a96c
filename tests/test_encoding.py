"""Text in ids: as sentencepiece encodes whole lines, in parts that hold each pair once."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from corpora import ENGLISH, FRENCH
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.base.translation_config import TokenizerConfig, TranslationTraining
from trainables.data.corpora.corpus import Corpus
from trainables.data.encoding import encoding, part_encoder
from trainables.data.encoding.batching import batch_sizes, count_batches, training_batches
from trainables.data.encoding.encoded_text import EncodedText
from trainables.data.encoding.encoding import encode_text
from trainables.data.encoding.line_encoder import LineEncoder
from trainables.data.encoding.part_encoder import Job, PartEncoder
from trainables.data.encoding.sequences import parts_of
from trainables.data.encoding.tokenizer import tokenizer_folder, train_tokenizer
from trainables.data.reading import text
from trainables.data.reading.text import in_memory, store

steady = settings(derandomize=True, deadline=None)
SIGNS = "\u0301 \u00a8 \u0308 \u200b \u2581 \u2585 \t \u00a0 \u3000 \u1112\u1161\u11ab <s> </s>"
LETTERS = f"aabbc  é e{SIGNS} ｶﾞ 漢字 한 ẞ ßİ ﬁ½ 😀"
WORDS = [f"{ENGLISH} {FRENCH}", ENGLISH, FRENCH] * 40 + [LETTERS]


def trained(tmp: Path, lines: list[str], **settings: object) -> sentencepiece.SentencePieceProcessor:
    pairs = in_memory((line, line) for line in lines)
    config = TokenizerConfig.model_validate({"vocab_size": 50, "character_coverage": 0.98, **settings})
    return train_tokenizer(config, Corpus(pairs, pairs, []), tmp).source


@pytest.fixture(scope="module")
def processors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, sentencepiece.SentencePieceProcessor]:
    """Two kinds, with all the ways in which text is normalised, by turns with bytes for rare characters."""
    folder = tmp_path_factory.mktemp("tokenizers")
    rules = ("identity", "nfc", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")
    ways = [(kind, rule) for kind in ("bpe", "unigram") for rule in rules]
    return {f"{kind} {rule}": trained(folder, WORDS, kind=kind, normalization=rule) for kind, rule in ways}


@steady
@given(st.lists(st.text(st.sampled_from(LETTERS), max_size=25), min_size=1, max_size=6))
def test_lines_are_encoded_by_words_as_they_are_whole(
    processors: dict[str, sentencepiece.SentencePieceProcessor], lines: list[str]
) -> None:
    for name, processor in processors.items():
        encoder = LineEncoder(processor, "uint16", 1000)
        for _ in range(2):  # at first words are new, then they are known
            found = [np.frombuffer(ids, np.uint16).tolist() for ids in encoder(lines)]
            assert found == processor.encode(lines), name


def test_an_encoder_whose_memory_is_full_encodes_the_same(
    processors: dict[str, sentencepiece.SentencePieceProcessor],
) -> None:
    processor = processors["unigram identity"]
    encoder, sizes = LineEncoder(processor, "uint32", 2000), []
    for number in range(200):
        lines = [f"one two {number % 7}a {number}b", "three"]
        assert [np.frombuffer(ids, np.uint32).tolist() for ids in encoder(lines)] == processor.encode(lines)
        sizes.append(len(encoder))
    assert 5 < max(sizes) < 12


# -- parts


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 5)
    monkeypatch.setattr(part_encoder, "PART", 40)
    monkeypatch.setattr(encoding, "cores", lambda: 1)


def numbered(pairs: int) -> list[tuple[str, str]]:
    """Pairs of several lengths, each of which can be told from its ids."""
    return [(f"{number:04} " + "a " * (number % 4), f"{number:04} " + "b " * (number % 5)) for number in range(pairs)]


def encode(pairs: list[tuple[str, str]], cache: Path, **data: object) -> tuple[EncodedText, Job]:
    stored, config = store(pairs, cache / "texts"), TokenizerConfig(vocab_size=20)
    corpus = Corpus(stored, in_memory(pairs[:1]), [])
    train_tokenizer(config, corpus, cache)
    folder, settings = tokenizer_folder(config, corpus, cache), DataConfig.model_validate(data)
    return encode_text(stored, folder, settings, cache), Job.of(stored, folder, settings, cache)


@pytest.mark.usefixtures("small_parts")
def test_an_epoch_has_each_pair_of_all_parts_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    pairs = numbered(203)
    ids, _ = encode(pairs, tmp_path)
    assert ids.num_parts == 6 and len(ids) == 203 and ids.overlong == 0
    assert ids.target_tokens == sum(part.target_tokens for part in parts_of(ids))
    config = TranslationTraining(batch_tokens=90)

    def epoch(seed: int, number: int, start: int = 0) -> list[list[tuple[int, ...]]]:
        return [
            [tuple(row) for row in np.concatenate([s.numpy()[:, :5], t.numpy()[:, :6]], axis=1)]
            for s, t in training_batches(ids, config, seed, number, start)
        ]

    first = epoch(1, 1)
    assert len(first) == count_batches(ids, config)
    assert len({row for batch in first for row in batch}) == sum(map(len, first)) == 203
    assert first == epoch(1, 1) and first[: len(first) // 2] != epoch(1, 2)[: len(first) // 2] != epoch(2, 1)
    for start in range(0, len(first) + 1, 7):
        assert epoch(1, 1, start) == first[start:]


@pytest.mark.usefixtures("small_parts")
def test_batches_of_few_shapes_are_of_the_same_shapes_in_all_parts(tmp_path: Path) -> None:
    ids, _ = encode(numbered(203), tmp_path)
    config = TranslationTraining(batch_tokens=90, batch_shapes=3)
    epochs = [list(training_batches(ids, config, seed, 1)) for seed in (1, 2)]
    shapes = [[(*source.shape, target.shape[1]) for source, target in batches] for batches in epochs]
    assert shapes[0] == shapes[1] and len(shapes[0]) == count_batches(ids, config)
    assert set(shapes[0]) == set(batch_sizes(ids, config)) and len(set(shapes[0])) <= 3
    rows = [tuple(row) for source, _ in epochs[0] for row in source.numpy()[:, :5] if row[0] != 3]
    assert len(rows) == len(set(rows)) == 203


@pytest.mark.usefixtures("small_parts")
def test_each_part_is_a_sample_of_the_whole_text(tmp_path: Path) -> None:
    """So that a corpus that is sorted, or several one after another, does not come in that order."""
    ids, job = encode(numbered(200), tmp_path)
    for number in range(ids.num_parts):
        blocks = list(range(number, 40, ids.num_parts))
        assert len(ids.part(number)) == 5 * len(blocks)
    assert [part.pairs for part in map(PartEncoder(job).encode, range(ids.num_parts))] == [40] * 5


@pytest.mark.usefixtures("small_parts")
def test_what_a_killed_process_has_encoded_is_kept(tmp_path: Path) -> None:
    pairs = numbered(203)
    whole, job = encode(pairs, tmp_path / "whole")
    (tmp_path / "half").mkdir()
    _, half = encode(pairs, tmp_path / "half")
    assert job.folder.name == half.folder.name, "a folder is named by content"
    (half.folder / "index.json").unlink()
    (half.folder / "part-00004").unlink()
    (half.folder / "part-00004.json").unlink()
    kept = (half.folder / "part-00001").stat().st_mtime_ns
    again, _ = encode(pairs, tmp_path / "half")
    assert (half.folder / "part-00001").stat().st_mtime_ns == kept
    for one, other in zip(parts_of(again), parts_of(whole), strict=True):
        assert (one.source.ids == other.source.ids).all() and (one.target.ids == other.target.ids).all()


def test_two_processes_encode_what_one_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of their usual size, of very short lines; without the children's own small blocks."""
    pairs = [(f"{number % 999}", "b") for number in range(part_encoder.PART + 9)]
    monkeypatch.setattr(encoding, "cores", lambda: 2)
    both, job = encode(pairs, tmp_path / "both")
    assert both.num_parts == 2 and multiprocessing.active_children() == []
    monkeypatch.setattr(encoding, "cores", lambda: 1)
    _, other = encode(pairs, tmp_path / "one")
    indices = [json.loads((each.folder / "index.json").read_text()) for each in (job, other)]
    assert indices[0] == indices[1] and job.folder.name == other.folder.name


@pytest.mark.usefixtures("small_parts")
def test_what_was_damaged_on_disk_is_made_again_or_refused(tmp_path: Path) -> None:
    _, job = encode(numbered(203), tmp_path)
    for name in ("index.json", "part-00001.json"):
        (job.folder / name).write_text("{")
    again, _ = encode(numbered(203), tmp_path)
    assert len(again) == 203 and (job.folder / "index.json").read_text() != "{"
    part = job.folder / "part-00001"
    part.write_bytes(bytes([part.read_bytes()[0] ^ 1]) + part.read_bytes()[1:])
    with pytest.raises(UserError, match=r"part-00001: was changed; remove .*encoded.*, then start again"):
        EncodedText(job.folder).part(1)
    (job.folder / "index.json").unlink()
    side = job.texts / job.text / "source"
    side.write_bytes(side.read_bytes().replace(b"0101", b"0102"))
    with pytest.raises(UserError, match=r"texts/.*: was changed; remove it, then start again"):
        encode(numbered(203), tmp_path)
