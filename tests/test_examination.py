"""Rubbish does not train: what can't be right is refused, what may be right is told, of good text nothing is said."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.base.data_config import DataConfig
from trainables.base.errors import UserError
from trainables.data.checks.languages import check_languages
from trainables.data.checks.lengths import check_lengths
from trainables.data.checks.markings import find_markings
from trainables.data.corpora.corpus import digest_test, read_corpus, read_test
from trainables.data.reading.phrasebook import phrasebook
from trainables.data.reading.text import Text

Sides = tuple[list[str], list[str]]


def sides(split: str = "train", size: int = 1000) -> Sides:
    """Good text: the first pairs of the phrasebook."""
    pairs = phrasebook()[split][:size]
    return [english for english, _ in pairs], [french for _, french in pairs]


def write(folder: Path, **splits: Sides) -> DataConfig:
    for name, split in {"train": sides(), "valid": sides("valid", 300), "test": sides("test", 300), **splits}.items():
        for language, lines in zip(("en", "fr"), split, strict=True):
            (folder / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return DataConfig(path=str(folder))


def lengths(source: list[str], target: list[str]) -> list[str]:
    return check_lengths("train", Text(source, target), range(1, len(source) + 1))


def test_good_text_raises_no_alarm(tmp_path: Path) -> None:
    config = write(tmp_path)
    (tmp_path / "finalists.json").write_text("{}")
    corpus = read_corpus(config)
    assert corpus.warnings == [] and len(read_test(config, tmp_path, "a test")) == 300


def test_languages_swapped_in_a_split_are_refused(tmp_path: Path) -> None:
    swapped = sides("valid", 20)[::-1]
    with pytest.raises(
        UserError, match=r"the sides of valid are swapped: \d+% of its pairs fit .*; exchange source and"
    ):
        read_corpus(write(tmp_path, valid=swapped))
    config = write(tmp_path, test=sides("test", 20)[::-1])
    (tmp_path / "finalists.json").write_text("{}")
    with pytest.raises(UserError, match="the sides of test are swapped"):
        digest_test(config, read_corpus(config).train)


def test_lines_that_do_not_translate_each_other_are_refused_in_every_split(tmp_path: Path) -> None:
    shifted = sides("valid", 300)[0], ["Oui.", *sides("valid", 299)[1]]
    with pytest.raises(UserError, match="100% of the pairs of valid are shifted"):
        read_corpus(write(tmp_path, valid=shifted))
    config = write(tmp_path, test=shifted)
    (tmp_path / "finalists.json").write_text("{}")
    with pytest.raises(UserError, match="100% of the pairs of test are shifted"):
        digest_test(config, read_corpus(config).train)


def respelt(lines: list[str], rate: float) -> list[str]:
    """The text with some words written otherwise."""
    rng = random.Random(0)
    return [
        " ".join(word.replace("e", "é") if rng.random() < rate else word for word in line.split()) for line in lines
    ]


def mixed(pairs: Sides, turned: int) -> Sides:
    """The pairs, so many of each ten the other way round."""
    places = range(len(pairs[0]))
    source, target = ([pairs[side ^ (place % 10 < turned)][place] for place in places] for side in (0, 1))
    return source, target


MARKED = sides()[0], respelt(sides()[0], 1)


@pytest.mark.parametrize(
    ("train", "other"),
    [
        (mixed(sides(), 3), sides("valid", 50)[::-1]),
        (sides(), mixed(sides("valid", 100), 8)),
        (MARKED, ([f"{line} é" for line in sides("valid", 50)[0]], sides("valid", 50)[0])),
        ((sides()[0], respelt(sides()[0], 0.1)), (respelt(sides("valid", 50)[0], 0.1), sides("valid", 50)[0])),
        (sides(), (sides("valid", 5)[1], sides("valid", 5)[0])),
        (sides(size=50), (sides("valid", 50)[1], sides("valid", 50)[0])),
    ],
    ids=["training text mixed", "split mixed", "faint", "sides alike", "tiny split", "tiny training text"],
)
def test_what_can_not_be_told_apart_is_not_called_swapped(train: Sides, other: Sides) -> None:
    assert check_languages(train, "valid", other) == []


def test_spellings_of_one_language_are_told_apart() -> None:
    old, new = sides()[0], respelt(sides()[0], 1)
    assert check_languages((old[:800], new[:800]), "valid", (old[800:], new[800:])) == []
    with pytest.raises(UserError, match="the sides of valid are swapped"):
        check_languages((old[:800], new[:800]), "valid", (new[800:], old[800:]))


def test_a_split_in_the_target_language_alone_is_told() -> None:
    french = sides("valid", 100)[1]
    (warning,) = check_languages(sides(), "valid", (french[1:], french[:-1]))
    assert warning.startswith("the source side of valid reads like the target side of the training text")
    english = sides("valid", 100)[0]
    assert check_languages(sides(), "valid", (english, english)) == []  # copies are told elsewhere


@pytest.mark.parametrize(("lines", "told"), [(1, "1 line above"), (-1, "1 line below"), (3, "3 lines above")])
def test_sides_shifted_against_each_other_are_refused(lines: int, told: str) -> None:
    source, target = sides()
    with pytest.raises(UserError, match=rf"100% of the pairs of train are shifted, the first near pair 1: .*{told}"):
        lengths(source, target[lines:] + target[:lines])


def test_a_line_that_is_missing_half_way_is_found_and_its_place_told(tmp_path: Path) -> None:
    source, target = sides()
    del target[500]
    with pytest.raises(
        UserError, match=r"[4-6]0% of the pairs of train are shifted, the first near pair (4|5|6)\d\d: .*miss"
    ):
        read_corpus(write(tmp_path, train=(source[:-1], target)))


def test_a_part_that_was_aligned_badly_is_told() -> None:
    source, target = sides(size=8000)
    target[4000:4400] = target[4001:4401]
    (shifted,) = [warning for warning in lengths(source, target) if "shifted" in warning]
    assert "about 5% of the pairs of train are shifted, the first near pair 4,0" in shifted
    target[2000:4000] = random.Random(0).sample(target[2000:4000], 2000)
    source, target = source[:4000], target[:4000]
    (unrelated,) = [warning for warning in lengths(source * 2, sides(size=4000)[1] + target) if "nothing" in warning]
    assert "in about 25% of train how long a source is says nothing of its target; do these" in unrelated


@pytest.mark.parametrize("disorder", [sorted, lambda lines: random.Random(0).sample(lines, len(lines))])
def test_a_side_in_another_order_is_refused(disorder: Callable[[list[str]], list[str]]) -> None:
    source, target = sides()
    with pytest.raises(UserError, match=r"the lines of train do not translate each other: .*correlation -?0\.[01]"):
        lengths(source, disorder(target))


def test_lengths_that_say_nothing_raise_no_alarm() -> None:
    source, target = sides()
    rng = random.Random(0)
    even = [["x" * rng.randint(18, 22) for _ in source] for _ in range(2)]
    assert lengths(*even) == [] and lengths(source[:150], target[1:151]) == []
    free = ["x" * int(rng.lognormvariate(4, 0.6)) for _ in source]
    assert lengths(["x" * 50] * len(free), free) == []
    ranked = sorted(zip(source, target, strict=True), key=lambda pair: len(pair[0]))
    assert lengths([pair[0] for pair in ranked], [pair[1] for pair in ranked]) == []


def test_implausible_lengths_are_counted_by_the_place_in_the_file(tmp_path: Path) -> None:
    source, target = sides()
    source[3], target[20], target[30], target[40] = "", target[20] * 9, "Oui.", target[40] * 3  # three times may be
    source[10], target[10] = "Yes.", "Oui, très volontiers."  # short
    (_, odd) = read_corpus(write(tmp_path, train=(source, target))).warnings
    assert odd.startswith("2 of 999 pairs of train have sides of implausible lengths, the first is pair 21: ")


NUMBERED = [f"{number}. sentence" for number in range(7, 40)]


@pytest.mark.parametrize(
    ("lines", "table", "told", "certain"),
    [
        (
            [f"{number * 7 % 50}\tsentence" for number in range(50)],
            False,
            r"an id and a tab, as '0\\tsen.*cut -f 2",
            True,
        ),
        ([f"s{number}-b \tsentence" for number in range(50)], False, "an id and a tab", True),
        (NUMBERED, False, "a number of its own, as '7. sentence', counted up .*; cut it off, as by `sed -E", True),
        ([f"({number}) sentence" for number in range(50)], True, "counted up", True),
        ([f"{number} sentences" for number in range(50)], False, "of its own.*is it a part", False),
        ([f"{number * 7 % 50}. sentence" for number in range(50)], False, "of its own.*is it a part", False),
        ([f'"sentence {number}"' for number in range(50)], True, "every cell is quoted as in CSV, .*csv.reader", True),
        (
            [f'"sentence {number}"' for number in range(50)],
            False,
            "every line is quoted as in CSV, .*part of the",
            False,
        ),
        ([f'"""sentence"" {number}"' for number in range(50)], False, "with quotes in it doubled", True),
        ([f"{3 * number}. A sentence" for number in range(50)], False, "is it a part of the sentence", False),
        (["plain"] * 50 + ['"a ""quoted"" one"'], True, "1 of 51 cells are quoted as in CSV, .*csv.reader", False),
    ],
)
def test_what_exports_leave_round_sentences_is_found(lines: list[str], table: bool, told: str, certain: bool) -> None:
    (marking,) = find_markings(lines, "train.en", table)
    assert re.search(told, marking.text) and marking.certain == certain


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize(
    "lines",
    [
        ["2 eggs", "200 g of flour", "2 eggs more"] * 20,
        ['He said "yes" to it', '"No", she said', '"So ""what"""', '"Go", he said, "home"'],
        NUMBERED[:9],
        [line for number, line in enumerate(NUMBERED) if number % 3] + ["a sentence"] * 9,
        [f"In {year} it rained" for year in range(1900, 1950)],
    ],
    ids=["recipes", "speech", "few", "some", "years"],
)
def test_numbers_and_quotes_of_sentences_are_no_markings(lines: list[str], table: bool) -> None:
    assert find_markings(lines, "train.en", table) == []
    assert find_markings(["plain", '"a ""quoted"" one"'], "train.en", table=False) == []


def test_markings_are_told_with_their_file_before_anything_else(tmp_path: Path) -> None:
    source, target = sides()
    numbered = [f"{number}) {line}" for number, line in enumerate(target, 1)]
    with pytest.raises(UserError, match=r"train\.fr: nearly every line starts with a number of its own, as '1\) "):
        read_corpus(write(tmp_path, train=(source, numbered)))
    quoted = [f'"{line}"' for line in source]
    (warning,) = read_corpus(write(tmp_path, train=(quoted, target))).warnings
    assert f"{tmp_path}/train.en: nearly every line is quoted as in CSV" in warning
    for name in ("train", "valid", "test"):
        lines = [f'"{first}"\t"{second}"\n' for first, second in zip(*sides(size=20), strict=True)]
        (tmp_path / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
        (tmp_path / f"{name}.en").unlink()
    with pytest.raises(UserError, match=r"train\.tsv: source: nearly every cell is quoted as in CSV"):
        read_corpus(DataConfig(path=str(tmp_path)))


def test_who_knows_the_text_better_is_warned_instead(tmp_path: Path) -> None:
    config = write(tmp_path, valid=sides("valid", 20)[::-1])
    with pytest.raises(UserError, match=r"the sides of valid are swapped.*; if the text is .*, set data.doubts: warn"):
        read_corpus(config)
    (warning,) = read_corpus(config.model_copy(update={"doubts": "warn"})).warnings
    assert "the sides of valid are swapped" in warning
