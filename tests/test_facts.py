"""Facts on a corpus against a naive count; the page shows them, and nothing of the test split but numbers."""

import html
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from corpora import write_digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from search.commands import data as command
from search.run import main
from search.translation.facts_page import examples, findings
from trainables.base.data_config import DataConfig, FiltersConfig
from trainables.base.errors import UserError
from trainables.data.checks import facts as module
from trainables.data.checks import filters, language_guess, text_counts
from trainables.data.checks.facts import Overlap, measure_corpus
from trainables.data.checks.text_counts import QUANTILES, Lengths, Ratios, Sample, script_of
from trainables.data.reading.formats.lines import is_blank
from trainables.data.reading.phrasebook import phrasebook

LINES = st.text("ab яß中1.&", max_size=12).map(lambda line: " ".join(line.split()))
SPLIT = st.lists(st.tuples(LINES, LINES), min_size=1, max_size=12)


@pytest.fixture
def no_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the package."""
    monkeypatch.setattr(language_guess, "PACKAGE", "no_such_package")


@given(train=SPLIT, valid=SPLIT, test=SPLIT, block=st.integers(1, 5))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("no_guesses")
def test_every_number_is_as_counted_naively(
    train: list[tuple[str, str]], valid: list[tuple[str, str]], test: list[tuple[str, str]], block: int
) -> None:
    splits = {"train": train, "valid": valid, "test": test}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "BLOCK", block)
        patch.setattr(module, "read_pairs", lambda _, name: iter(splits[name]))
        facts = measure_corpus(DataConfig(path="corpus", doubts="warn"))
    assert facts.problems == []
    learned = Counter("".join(source + target for source, target in train))
    for place, (found, pairs) in enumerate(zip(facts.splits, splits.values(), strict=True)):
        assert (found.name, found.pairs) == (list(splits)[place], len(pairs))
        assert found.blank == sum(is_blank(source) or is_blank(target) for source, target in pairs)
        for side, lines in zip(found.sides, zip(*pairs, strict=True), strict=True):
            text = "".join(lines)
            assert side.total_characters == len(text) and side.distinct_characters == len(set(text))
            assert side.total_words == len(" ".join(lines).split())
            assert side.repeated == len(lines) - len(set(lines))
            for quantiles, lengths in (
                (side.characters, map(len, lines)),
                (side.words, (len(x.split()) for x in lines)),
            ):
                expected = np.quantile(list(lengths), QUANTILES, method="inverted_cdf")
                assert quantiles == expected.tolist()
            scripts = Counter(filter(None, map(script_of, text)))
            assert side.scripts == {name: number / scripts.total() for name, number in scripts.items()}
        earlier = list(splits.items())[:place]
        assert found.overlaps == {
            name: Overlap(
                sum(source in {pair[0] for pair in other} for source, _ in pairs), sum(pair in other for pair in pairs)
            )
            for name, other in earlier
        }
        new = [
            character for source, _ in pairs for character in source if character not in learned and character != " "
        ]
        assert found.new_characters == (len(set(new)), len(new))
        suspects = {each.filter: each.pairs for each in found.suspects}
        whole = [pair for pair in pairs if not any(map(is_blank, pair))]
        assert suspects["copies"] == sum(source == target for source, target in whole)
        assert suspects["deduplicate"] == len(whole) - len(set(whole))
        assert suspects["min_length"] == sum(min(map(len, pair)) < 2 for pair in whole)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1))
def test_ratios_are_within_one_percent(lengths: list[tuple[int, int]]) -> None:
    source, target = np.array(lengths).T
    both = (source > 0) & (target > 0)
    ratios = Ratios()
    ratios.add(source, target)
    if both.any():
        expected = np.quantile(target[both] / source[both], QUANTILES, method="inverted_cdf")
        assert np.allclose(ratios.quantiles(), expected, rtol=0.01)


def test_a_line_beyond_the_bound_counts_as_the_longest() -> None:
    lengths = Lengths()
    lengths.add(np.array([1, text_counts.LONGEST + 5]))
    assert lengths.quantiles() == [1, 1, 1, text_counts.LONGEST, text_counts.LONGEST, text_counts.LONGEST + 5]
    assert lengths.total == text_counts.LONGEST + 6


def test_a_sample_has_all_of_a_small_text_and_stretches_of_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_counts, "CHUNK", 3)
    monkeypatch.setattr(text_counts, "CHUNKS", 4)

    def sampled(pairs: int, seed: int = 0) -> list[tuple[int, str, str]]:
        sample, lines = Sample(seed), [str(number) for number in range(1, pairs + 1)]
        for first in range(0, pairs, 5):
            sample.add(lines[first : first + 5], lines[first : first + 5])
        return list(sample)

    assert [number for number, _, _ in sampled(11)] == list(range(1, 12))
    large = sampled(100)
    assert len(large) == 12 and large == sampled(100) and all(str(number) == source for number, source, _ in large)
    numbers = [number for number, _, _ in large]
    assert numbers == sorted(numbers) and all(number % 3 == 1 for number in numbers[::3])
    drawn = Counter(number for seed in range(300) for number, _, _ in sampled(100, seed))
    assert drawn.keys() == set(range(1, 100)), "the last stretch is not whole"
    assert min(drawn.values()) > 15 and max(drawn.values()) < 60, "36 of each on average"


def write(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    for language, side in zip(("en", "fr"), zip(*pairs, strict=True), strict=True):
        with (folder / f"{name}.{language}").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in side)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Digits, with one of each kind of suspicious pair in each split, and text that only the test split has."""
    folder = write_digits(tmp_path / "corpus")
    for name in ("train", "valid", "test"):
        write(folder, name, [("one &amp; two", f"un {name}"), ("two \x07", "deux"), ("two two", "two two")])
    write(folder, "train", [("three", "trois " * 20), ("", "vide"), ("one &amp; two", "un train")])
    write(folder, "test", [("SECRET Ω", "SECRÈTE")])
    return folder


@pytest.mark.usefixtures("no_guesses")
def test_the_page_says_what_is_wrong_and_which_filter_drops_it(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "facts.html"
    assert main(["data", str(corpus), "--html", str(page), "--data.filters.markup", "true"]) == 0
    said, shown = capsys.readouterr().out, html.unescape(page.read_text(encoding="utf-8"))
    for wanted in (
        "2 training pairs have HTML or XML tags, or entities such as &amp; (0.65%); data.filters.markup leaves "
        "them out",
        "1 training pair has control characters",
        "to leave it out: --data.filters.garbled true",
        "1 training pair has sides of lengths that are off the usual ratio by more than 3 times",
        "--data.filters.max_ratio 3",
        "data.filters leaves out 2 training pairs, so 304 stay",
        "1 training pair has a blank side; a search leaves them out",
        "3 of 43 source lines of valid are also in train, 2 with the same target",
        "the source side of test has 6 characters that the training text lacks;",
        "languages are not guessed: that needs no_such_package",
        "two \\x07 | deux",
        "train, markup, pair 301: one &amp; two | un train",
        "Latin 100%",
    ):
        told = wanted.partition(": one")[0].partition(" | ")[0]
        assert wanted in said, wanted
        assert told in shown or told.partition(", pair ")[0] in shown, wanted
    assert "SECR" not in said + shown and "Ω" not in said + shown and "un test" not in said + shown
    assert "un valid" in said, "that of the validation split may be seen"


@pytest.mark.usefixtures("no_guesses")
def test_no_line_of_the_test_split_is_in_the_facts(corpus: Path) -> None:
    data = DataConfig(path=str(corpus), doubts="warn", filters=FiltersConfig(deduplicate=True))
    facts = measure_corpus(data)
    lines = {line for side in ("en", "fr") for line in (corpus / f"test.{side}").read_text().split("\n")}
    others = {
        line
        for name in ("train", "valid")
        for x in ("en", "fr")
        for line in (corpus / f"{name}.{x}").read_text().split("\n")
    }
    told = repr(facts) + "".join(findings(facts, data)) + repr(list(examples(facts)))
    assert not [line for line in lines - others if line in told]
    assert facts.splits[2].pairs == 44 and {each.pairs for each in facts.splits[2].suspects} == {0, 1}


@pytest.mark.usefixtures("no_guesses")
def test_what_filters_leave_out_is_what_a_search_trains_without(corpus: Path) -> None:
    from trainables.data.corpora.corpus import read_corpus

    data = DataConfig(path=str(corpus), filters=FiltersConfig(markup=True, copies=True, max_ratio=3, deduplicate=True))
    train = measure_corpus(data).splits[0]
    assert train.left_out >= 4, "and what reads alike in both languages, as six"
    assert train.pairs - train.left_out - train.blank == len(read_corpus(data).train)


@pytest.mark.usefixtures("no_guesses")
def test_a_vocabulary_of_its_own_knows_the_characters_of_its_side(tmp_path: Path) -> None:
    write(tmp_path, "train", [("ab", "cé")])
    for name in ("valid", "test"):
        write(tmp_path, name, [("abé", "c"), ("cé", "é")])
    new = [measure_corpus(DataConfig(path=str(tmp_path)), shared).splits[1].new_characters for shared in (True, False)]
    assert new == [(0, 0), (2, 3)], "é twice and c once"


@pytest.mark.usefixtures("no_guesses")
def test_a_split_that_lacks_is_told_and_the_others_are_shown(corpus: Path) -> None:
    (corpus / "valid.en").unlink()
    watched: dict[str, int] = {}
    facts = measure_corpus(DataConfig(path=str(corpus)), watch=watched.__setitem__)
    assert watched == {"train": 306, "test": 44}
    assert [split.name for split in facts.splits] == ["train", "test"]
    assert re.search(r"valid\.en .*", facts.problems[0])
    (corpus / "train.en").write_text("")
    (corpus / "train.fr").write_text("")
    with pytest.raises(UserError, match="train is empty"):
        measure_corpus(DataConfig(path=str(corpus)))


@pytest.mark.usefixtures("no_guesses")
def test_what_a_search_would_refuse_is_told(tmp_path: Path) -> None:
    folder = write_digits(tmp_path)
    lines = (folder / "train.fr").read_text().splitlines(keepends=True)
    (folder / "train.fr").write_text("".join(sorted(lines)))
    told = list(findings(measure_corpus(DataConfig(path=str(folder))), DataConfig(path=str(folder))))
    assert any("the lines of train do not translate each other" in each for each in told)


@pytest.mark.skipif(not language_guess.can_guess(), reason="needs the extra languages")
def test_languages_are_shown_beside_what_is_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"train en +Latin 100% +en 100% of \d{3} lines", said)
    assert re.search(r"test fr +Latin 100% +fr 100% of \d{3} lines", said)
    assert "- nothing: no doubtful pairs were found" in said and "not guessed" not in said


@pytest.mark.skipif(not language_guess.can_guess(), reason="needs the extra languages")
def test_some_lines_in_another_language_are_told_and_all_of_them_doubted(tmp_path: Path) -> None:
    english = DataConfig(path=str(tmp_path))
    german = english.model_copy(update={"source_language": "de"})
    pairs = list(phrasebook()["train"][:500])
    write(tmp_path, "train", [pair if place % 5 else (pair[1], pair[1]) for place, pair in enumerate(pairs)])
    told = "\n".join(findings(measure_corpus(english), english))
    assert re.search(r"about 2\d% of the en lines of train read as another language; .*--data\.filters\.language", told)
    (tmp_path / "train.en").write_text("")
    (tmp_path / "train.fr").write_text("")
    write(tmp_path, "train", pairs)
    told = "\n".join(findings(measure_corpus(german), german))
    assert "de is claimed, but 100% of the lines on the source side of train read as en" in told
    assert "--data.filters.language" not in told, "which would drop all"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "/nowhere does not exist"),
        (["a", "--data.path", "b"], "--data.path: a is named already; name the corpus once"),
        (["--html", "/nowhere/x.html"], "--html: /nowhere/x.html can't be written"),
        (["--problem", "my:PROBLEM"], "problem: data shows parallel text"),
        (["--data.filters.max_ratio", "1"], "--data.filters.max_ratio: must be above 1, got 1"),
        (["--data.filters.ratio", "2"], "--data.filters.ratio: unknown option; did you mean --data.filters.max_ratio?"),
    ],
)
def test_mistakes_are_told(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        command.main(arguments, Console())
