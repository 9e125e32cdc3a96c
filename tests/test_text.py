"""Text in files is the text in memory: each line at its place, and the same digest."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from corpora import write_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora import cache as corpus_cache
from trainables.data.corpora.cache import cached_corpus, cached_test_digest
from trainables.data.corpora.corpus import Corpus, digest_test, read_corpus
from trainables.data.reading import text
from trainables.data.reading.text import Text, in_memory, load, store, verify

steady = settings(derandomize=True, deadline=None, max_examples=30)
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=8)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 3)


@pytest.mark.usefixtures("small_blocks")
@steady
@given(st.lists(st.tuples(LINE, LINE), min_size=1, max_size=14), st.slices(14))
def test_a_stored_text_is_that_in_memory(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], places: slice
) -> None:
    texts = tmp_path_factory.mktemp("texts")
    memory, stored = in_memory(pairs), store(pairs, texts)
    assert len(stored) == len(memory) and stored.digest() == memory.digest() == Text(*memory.sides).digest()
    for lines, wanted in zip(stored.sides, memory.sides, strict=True):
        assert list(lines) == wanted and lines[places] == wanted[places]
        assert [lines[place] for place in range(-len(wanted), len(wanted))] == wanted * 2
        with pytest.raises(IndexError):
            lines[len(wanted)]
    assert list(stored.blocks()) == [([*a], [*b]) for a, b in memory.blocks()]
    assert list(stored.blocks(1, 2)) == list(stored.blocks())[1::2]
    again = load(texts, stored.sha256)
    assert list(again.source) == memory.source and verify(again)
    assert [path.name for path in texts.iterdir()] == [stored.sha256], "no draft is left"


@pytest.mark.parametrize("line", ["a\nb", "a \ud83d b"])
def test_what_would_be_another_text_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.path: pair 2 has a line break or half a character in it: 'a"):
        store([("x", "y"), ("x", line)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_changed_is_told(tmp_path: Path) -> None:
    stored = store([("a", "b"), ("c", "d")], tmp_path)
    (stored.folder / "source").write_text("a\n")
    with pytest.raises(UserError, match=r"source: was changed; remove .*, then start again"):
        list(load(tmp_path, stored.sha256).source)
    assert not verify(stored)


# -- the cache


def age(folder: Path) -> None:
    """Let the files of a corpus be old enough to be known again by their times."""
    for file in folder.iterdir():
        os.utime(file)
    deadline = time.time() + 10
    while time.time() < max(file.stat().st_ctime for file in folder.iterdir()) + 0.05 and time.time() < deadline:
        time.sleep(0.01)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[DataConfig]:
    """Each time that a corpus is read from its own files."""
    seen: list[DataConfig] = []

    def read(config: DataConfig, texts: Path | None = None) -> Corpus:
        seen.append(config)
        return read_corpus(config, texts)

    monkeypatch.setattr(corpus_cache, "read_corpus", read)
    monkeypatch.setattr(corpus_cache, "SETTLED", 0.0)
    return seen


def find(data: DataConfig, cache: Path) -> Corpus:
    cached_corpus.cache_clear()  # as in another process
    return cached_corpus(data, cache)


def test_a_corpus_is_read_once_and_again_when_its_files_change(tmp_path: Path, reads: list[DataConfig]) -> None:
    folder, cache = write_digits(tmp_path / "corpus"), tmp_path / "cache"
    data = DataConfig(path=str(folder))
    age(folder)
    first = find(data, cache)
    second = find(data, cache)
    assert (second.valid, second.warnings, second.fingerprint()) == (first.valid, first.warnings, first.fingerprint())
    assert list(second.train.source) == (folder / "train.en").read_text().splitlines()
    find(data.model_copy(update={"max_tokens": 9, "overlong": "truncate"}), cache)
    assert len(reads) == 1, "how long sentences may be decides nothing yet"
    find(data.model_copy(update={"limit": 100}), cache)
    assert len(reads) == 2

    file = folder / "train.en"
    before = file.stat()
    file.write_text(file.read_text().replace("one", "two", 1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a careless copy does
    assert file.stat().st_size == before.st_size
    age(folder)
    assert find(data, cache).fingerprint() != first.fingerprint() and len(reads) == 3


def test_files_that_were_just_written_are_read_again(
    tmp_path: Path, reads: list[DataConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change within the same tick of the clock would leave their times as they are."""
    monkeypatch.setattr(corpus_cache, "SETTLED", 60.0)
    data = DataConfig(path=str(write_digits(tmp_path / "corpus")))
    find(data, tmp_path / "cache")
    find(data, tmp_path / "cache")
    assert len(reads) == 2


def test_the_test_split_is_read_once_and_again_when_it_changes(
    tmp_path: Path, reads: list[DataConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache, digests = write_digits(tmp_path / "corpus"), tmp_path / "cache", []

    def digest(data: DataConfig, train: Text, key: str) -> dict[str, Any]:
        digests.append(digest_test(data, train, key))
        return digests[-1]

    monkeypatch.setattr(corpus_cache, "digest_test", digest)
    data = DataConfig(path=str(folder))
    age(folder)
    train = find(data, cache).train
    assert cached_test_digest(data, train, cache) == cached_test_digest(data, train, cache) == digests[0]
    assert len(digests) == 1 and digests[0]["pairs"] == 40
    (folder / "test.fr").write_text((folder / "test.fr").read_text().replace("un", "deux", 1))
    age(folder)
    assert cached_test_digest(data, train, cache) == digests[1] != digests[0]
    (folder / "test.fr").unlink()
    with pytest.raises(UserError, match=r"test\.fr is missing beside test\.en"):
        cached_test_digest(data, train, cache)


@pytest.mark.parametrize("name", ["text.json", "target", "record"])
@pytest.mark.parametrize("content", [None, b"", b'{"train": "x"}'])
def test_a_text_that_is_lost_or_damaged_is_stored_again(
    name: str, content: bytes | None, tmp_path: Path, reads: list[DataConfig]
) -> None:
    folder, cache = write_digits(tmp_path / "corpus"), tmp_path / "cache"
    age(folder)
    corpus = find(DataConfig(path=str(folder)), cache)
    (record,) = (cache / "corpora").glob("*.json")
    file = record if name == "record" else cache / "texts" / corpus.fingerprint() / name
    file.unlink() if content is None else file.write_bytes(content)
    assert find(DataConfig(path=str(folder)), cache).fingerprint() == corpus.fingerprint() and len(reads) == 2
    assert json.loads(record.read_text())["train"] == corpus.fingerprint()


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataConfig(path=str(write_digits(tmp_path / "corpus")))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3000))
    with pytest.raises(UserError, match=r"has 3\.0 kB of disk left, and .*corpus, prepared, takes about \d+\.\d kB"):
        find(data, tmp_path / "cache")
    assert not (tmp_path / "cache" / "texts").exists()
