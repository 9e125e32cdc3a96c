"""Training text beside that of the corpus comes as often as its weight says, with its tag."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from corpora import write_digits
from pydantic import ValidationError

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.corpora.cache import cached_corpus
from trainables.data.corpora.corpus import read_corpus, training_files


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_digits(tmp_path / "corpus")


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """One file of 100 pairs, without splits."""
    file = tmp_path / "added.tsv"
    file.write_text("".join(f"more {number}\tplus {number}\n" for number in range(100)))
    return file


def data(corpus: Path, *more: dict[str, Any], **settings: Any) -> DataConfig:
    return DataConfig.model_validate({"path": str(corpus), "doubts": "warn", "more": more, **settings})


@pytest.mark.parametrize(("weight", "least", "most"), [(1, 100, 100), (2, 200, 200), (0.5, 35, 65), (2.25, 210, 240)])
def test_a_pair_comes_as_often_as_the_weight_says(
    weight: float, least: int, most: int, corpus: Path, added: Path
) -> None:
    config = data(corpus, {"path": str(added), "weight": weight})
    text = read_corpus(config).train
    counts = Counter(pair for pair in zip(*text.sides, strict=True) if pair[0].startswith("more"))
    assert least <= counts.total() <= most and set(counts.values()) <= {int(weight), int(weight) + 1}
    assert len(text) == 300 + counts.total()
    assert list(read_corpus(config).train.source) == list(text.source), "the same each time"


def test_the_tag_is_before_each_source_and_the_corpus_stays_as_it_is(corpus: Path, added: Path) -> None:
    config = data(corpus, {"path": str(added), "tag": "<BT>"}, {"path": str(corpus), "weight": 0.5}, limit=50)
    found, plain = read_corpus(config), read_corpus(data(corpus, limit=50))
    assert list(found.train.source[:50]) == list(plain.train.source) and found.valid == plain.valid
    assert list(found.train.source[50:150]) == [f"<BT> more {number}" for number in range(100)]
    assert list(found.train.target[50:150]) == [f"plus {number}" for number in range(100)]
    assert 100 < len(found.train) - 150 < 200, "half of the other, not of its first 50 pairs"
    assert f"100 training pairs are from {added}" in found.warnings


def test_filters_and_blanks_hold_for_it_too(corpus: Path, added: Path) -> None:
    added.write_text(added.read_text() + "more 1\tplus 1\n\tnothing\n")
    found = read_corpus(data(corpus, {"path": str(added)}, filters={"deduplicate": True}))
    assert len([source for source in found.train.source if source.startswith("more")]) == 100
    assert any(f"{added}: data.filters leaves out 1 of 102" in warning for warning in found.warnings)
    assert any(f"{added}: 1 training pair" in warning for warning in found.warnings)


def test_a_change_in_it_is_noticed(corpus: Path, added: Path, tmp_path: Path) -> None:
    config = data(corpus, {"path": str(added)})
    assert added in training_files(config)
    first = cached_corpus(config, tmp_path / "cache").fingerprint()
    added.write_text(added.read_text().replace("more 7", "more 8"))
    cached_corpus.cache_clear()
    assert cached_corpus(config, tmp_path / "cache").fingerprint() != first


def test_mistakes_name_the_key(corpus: Path, added: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.more: .*nowhere does not exist"):
        read_corpus(data(corpus, {"path": "/nowhere"}))
    added.write_text("")
    with pytest.raises(UserError, match=r"^data\.more: .*added\.tsv"):
        read_corpus(data(corpus, {"path": str(added)}))
    copied = write_digits(corpus.parent / "copied")
    (copied / "train.fr").write_text((copied / "train.en").read_text())
    with pytest.raises(UserError, match=r"^data\.more: 300 of 300 pairs of .*copied have the same text on both sides"):
        read_corpus(data(corpus, {"path": str(copied)}, doubts="refuse"))
    for wrong in ({"path": str(added), "weight": 0}, {"path": str(added), "tag": "two words"}, {"weight": 1}):
        with pytest.raises(ValidationError):
            data(corpus, wrong)
