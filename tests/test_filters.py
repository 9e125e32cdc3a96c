"""`data.filters` against a naive reading of what its keys promise; what each drops is counted and told."""

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.base.data_config import DataConfig, FiltersConfig
from trainables.base.errors import UserError
from trainables.data.checks import filters as module
from trainables.data.checks.filters import FILTERS, filtered, make_filters, tell_dropped
from trainables.data.checks.garbling import has_markup, is_garbled
from trainables.data.checks.line_hashes import Seen, hash_lines
from trainables.data.corpora.corpus import read_corpus
from trainables.data.reading.formats.lines import is_blank

Pair = tuple[str, str]
WORDS = ["ab", "c", "a long word", "é", "Ã©", "<b>", "&amp;", "\x07", " ", ""]
LINES = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)
PAIRS = st.lists(st.one_of(st.tuples(LINES, LINES), LINES.map(lambda line: (line, line))), max_size=40)
VALUES: dict[str, Any] = {  # but language, which has a test of its own
    "min_length": st.integers(1, 10),
    "max_length": st.integers(10, 200),
    "max_ratio": st.floats(1.5, 4),
    "copies": st.just(True),
    "garbled": st.just(True),
    "markup": st.just(True),
    "deduplicate": st.just(True),
}
CHOSEN = st.fixed_dictionaries({}, optional=VALUES)


def kept_by(pairs: Sequence[Pair], values: dict[str, Any]) -> tuple[list[tuple[int, str, str]], Counter[str]]:
    data, dropped = DataConfig(filters=FiltersConfig(**values)), Counter[str]()
    return list(filtered(iter(pairs), make_filters(data), dropped)), dropped


def is_wrong(name: str, value: Any, place: int, pairs: list[Pair], usual: float) -> bool:
    """As docs/how-to/corpus.md says it, with the text of all earlier pairs at hand."""
    source, target = pairs[place]
    match name:
        case "min_length":
            return bool(min(len(source), len(target)) < value)
        case "max_length":
            return bool(max(len(source), len(target)) > value)
        case "max_ratio":
            long = max(np.log(len(source)) + usual, np.log(len(target))) >= np.log(40)
            return bool(long and abs(np.log(len(target) / len(source)) - usual) > np.log(value) + 1e-9)
        case "copies":
            return source == target
        case "garbled":
            return is_garbled(f"{source} {target}")
        case "markup":
            return has_markup(source) or has_markup(target)
        case _:
            return pairs[place] in pairs[:place]


def naive(pairs: list[Pair], values: dict[str, Any]) -> tuple[list[tuple[int, str, str]], Counter[str]]:
    whole = [pair for pair in pairs if not any(map(is_blank, pair))]
    usual = statistics.median([np.log(len(target) / len(source)) for source, target in whole]) if whole else 0.0
    kept, dropped = [], Counter[str]()
    for place, pair in enumerate(pairs):
        chosen = [name for name in FILTERS if name in values and pair in whole]
        by = [name for name in chosen if is_wrong(name, values[name], place, pairs, usual)]
        dropped.update(by[:1])
        if not by:
            kept.append((place + 1, *pair))
    return kept, dropped


@given(pairs=PAIRS, values=CHOSEN)
@settings(deadline=None, max_examples=200)
def test_what_stays_and_what_each_drops_is_as_counted_naively(pairs: list[Pair], values: dict[str, Any]) -> None:
    kept, dropped = kept_by(pairs, values)
    expected, counts = naive(pairs, values)
    assert kept == expected
    assert +dropped == counts and dropped.keys() <= values.keys()


@given(pairs=PAIRS, values=CHOSEN.filter(lambda values: "max_ratio" not in values), block=st.integers(1, 7))
@settings(deadline=None)
def test_blocks_change_nothing(pairs: list[Pair], values: dict[str, Any], block: int) -> None:
    whole = kept_by(pairs, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        assert kept_by(pairs, values) == whole


def test_the_usual_ratio_is_that_of_the_first_block_without_blank_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    twice, even = ("a" * 50, "b" * 100), ("a" * 50, "b" * 50)
    blank = ("", "b" * 100)
    kept, dropped = kept_by([twice, blank, blank, blank, even, even, even, twice], {"max_ratio": 1.9})
    assert [number for number, _, _ in kept] == [1, 2, 3, 4, 8]
    assert dropped == {"max_ratio": 3}, "though pairs of the second block are even"


@given(st.lists(st.lists(st.integers(0, 20), max_size=15), max_size=12))
def test_hashes_that_were_seen_are_known_again(groups: list[list[int]]) -> None:
    seen, before = Seen(), list[int]()
    for group in groups:
        expected = [number in before + group[:place] for place, number in enumerate(group)]
        assert seen.add(np.array(group, np.uint64)).tolist() == expected
        before += group
    assert len(seen) == len(set(before))
    assert seen.has(np.arange(21, dtype=np.uint64)).tolist() == [number in before for number in range(21)]


def test_the_hash_of_a_line_is_that_of_b2sum() -> None:
    """`printf 'Ein Haus.' | b2sum -l 64` says the same."""
    assert hash_lines(["Ein Haus."]).tobytes().hex() == "60c3501f2c8749dc"


def test_each_filter_has_a_key_and_the_other_way_round() -> None:
    assert FILTERS.keys() == FiltersConfig.model_fields.keys()
    assert FiltersConfig().chosen == {}


@pytest.mark.parametrize(
    "text",
    [
        "cafÃ©",
        "Â«oui Â»",
        "itâ€™s",
        "â€œyesâ€\x9d",
        "Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
        "ÎºÎ±Î¹",
        "×©×œ×•×\x9d",
        "ä½\xa0å¥½",
        "à¤¨à¤®à¤¸",
        "VERIFICA\ufffd\ufffdO",
        "\x1b[1mbold",
        "a\x85b",
    ],
)
def test_text_that_was_broken_is_found(text: str) -> None:
    assert is_garbled(text)


@pytest.mark.parametrize(
    "text",
    ["café", "„Spaß“", "«AMANHû", "L'été à Âge…", "привет", "καί", "שלום", "你好", "नमस्ते", "a\tb", "5 €™ –", "🙂"],
)
def test_text_as_people_write_it_is_not(text: str) -> None:
    assert not is_garbled(text)


def test_markup_is_told_from_signs() -> None:
    assert all(map(has_markup, ["<b>no</b>", "a<br/>", "Q&amp;A", "&#8217;", "<!-- x"]))
    assert not any(map(has_markup, ["a < b > c", "Q&A; more", "<3", "R & B", "& ;"]))


def write(folder: Path, pairs: list[Pair]) -> DataConfig:
    for split in ("train", "valid", "test"):
        for language, side in zip(("en", "fr"), zip(*pairs, strict=True), strict=True):
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
    return DataConfig(path=str(folder))


TEXT = [
    ("A house.", "Une maison."),
    ("A &amp; B", "A et B"),
    ("", "Rien."),
    ("A house.", "Une maison."),
    ("Two dogs.", "Deux chiens."),
]


def test_only_training_text_is_filtered_and_the_warning_counts(tmp_path: Path) -> None:
    data = write(tmp_path, TEXT[:2] + TEXT[3:])
    (tmp_path / "train.en").write_text("".join(f"{source}\n" for source, _ in TEXT))
    (tmp_path / "train.fr").write_text("".join(f"{target}\n" for _, target in TEXT))
    filters = FiltersConfig(markup=True, deduplicate=True, max_ratio=3)
    corpus = read_corpus(data.model_copy(update={"filters": filters}))
    assert corpus.train.source == ["A house.", "Two dogs."]
    assert len(corpus.valid) == 4, "validation text stays as it is"
    told = "data.filters leaves out 2 of 5 training pairs: 0 by max_ratio 3, 1 by markup, 1 by deduplicate"
    assert told in corpus.warnings
    assert "1 training pair with a blank side is left out, the first at line 3" in corpus.warnings
    assert read_corpus(data).train.source == [source for source, _ in TEXT if source], "off by default"


def test_the_phrasebook_is_filtered_too() -> None:
    corpus = read_corpus(DataConfig(limit=100, filters=FiltersConfig(max_length=30)))
    assert 0 < len(corpus.train) < 100
    assert max(map(len, [*corpus.train.source, *corpus.train.target])) <= 30 < max(map(len, corpus.valid.source))
    assert f"leaves out {100 - len(corpus.train)} of 100 training pairs" in corpus.warnings[0]


def test_filters_that_leave_nothing_are_refused_with_what_each_dropped(tmp_path: Path) -> None:
    data = write(tmp_path, TEXT[:1]).model_copy(update={"filters": FiltersConfig(min_length=50, copies=True)})
    with pytest.raises(UserError, match=r"1 of 1 training pairs: 1 by min_length 50, 0 by copies, so nothing is left"):
        read_corpus(data)


def test_limits_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="min_length: 9 is above max_length 8"):
        FiltersConfig(min_length=9, max_length=8)


def test_what_was_dropped_is_told_in_the_order_of_the_table() -> None:
    data = DataConfig(filters=FiltersConfig(deduplicate=True, max_ratio=2.5, max_length=100))
    assert re.fullmatch(
        r"data\.filters leaves out 3 of 1,000 training pairs: 0 by max_length 100, 1 by max_ratio 2\.5, 2 by "
        "deduplicate",
        tell_dropped(Counter(deduplicate=2, max_ratio=1), 1000, data),
    )
