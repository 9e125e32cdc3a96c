"""Languages that are claimed against those that lines are taken for."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from trainables.base.data_config import DataConfig, FiltersConfig
from trainables.base.errors import Doubt, UserError
from trainables.data.checks import language_guess
from trainables.data.checks.filters import make_filters
from trainables.data.checks.language_guess import CODES, Guessed, check_claims, claimed_languages, guess, guess_all
from trainables.data.corpora.corpus import read_corpus
from trainables.data.reading.phrasebook import phrasebook

needs_guesses = pytest.mark.skipif(not find_spec("py3langid"), reason="needs the extra languages")
PAIRS = phrasebook()["train"][:400]
ENGLISH, FRENCH = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]
GERMAN = "Ich habe heute leider keine Zeit, weil ich noch einkaufen muss."


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_guess, "known_languages", lambda: frozenset(("de", "en", "fr", "hr", "bs", "zh")))


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        ({"source": "en_XX", "target": "fra_Latn"}, ("en", "fr")),
        ({"source": "deu", "target": "zh-CN"}, ("de", "zh")),
        ({"source": "nb", "target": "fil"}, ("no", "tl")),
        ({"source": "src", "target": "tgt"}, ("src", "tgt")),
        ({"source": "src", "target": "tgt", "source_language": "ger", "target_language": "pt_BR"}, ("de", "pt")),
    ],
)
def test_a_claim_is_read_as_people_write_it(names: dict[str, str], codes: tuple[str, str]) -> None:
    assert claimed_languages(DataConfig(path="x", **names)) == codes


@pytest.mark.parametrize(
    ("claimed", "shares", "other"),
    [
        ("de", {"en": 0.95, "fr": 0.05}, "en"),
        ("de", {"en": 0.95, "de": 0.05}, None),  # some lines are as claimed
        ("de", {"en": 0.6, "fr": 0.4}, None),  # nothing clear
        ("hr", {"bs": 1.0}, None),  # too close to be told apart
        ("de", {"bs": 0.5, "hr": 0.45, "en": 0.05}, "bs"),  # close ones count as one
        ("src", {"en": 1.0}, None),  # no language is claimed
    ],
)
@pytest.mark.usefixtures("known")
def test_only_a_clear_contradiction_counts(claimed: str, shares: dict[str, float], other: str | None) -> None:
    assert Guessed(100, shares).contradicts(claimed) == other
    assert Guessed(49, shares).contradicts(claimed) is None, "too few lines"


def test_without_the_package_nothing_is_said_and_the_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_guess, "PACKAGE", "no_such_package")
    assert check_claims(DataConfig(), "train", FRENCH, ENGLISH) == []
    assert "languages are not guessed: that needs no_such_package" in language_guess.lacking()
    with pytest.raises(UserError, match=r"data\.filters\.language: needs .*pip install 'babeltune\[languages\]'"):
        make_filters(DataConfig(filters=FiltersConfig(language=True)))


@needs_guesses
def test_codes_are_those_of_the_package() -> None:
    assert set(CODES.values()) <= language_guess.known_languages()


@needs_guesses
def test_lines_are_told_apart() -> None:
    assert guess(GERMAN) == "de"
    assert guess("Yes.") is None and guess("1234 5678 90, 1234 5678 90, 1234 5678 90") is None
    assert next(iter(guess_all(ENGLISH).shares)) == "en" and next(iter(guess_all(FRENCH).shares)) == "fr"


def write(folder: Path, **sides: list[str]) -> None:
    for split in ("train", "valid", "test"):
        for language, lines in sides.items():
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@needs_guesses
def test_a_wrong_claim_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, de=ENGLISH, fr=FRENCH)
    data = DataConfig(path=str(tmp_path), source="de")
    with pytest.raises(UserError, match=r"data\.source: de is claimed, but \d+% .* of train read as en; name"):
        read_corpus(data)
    told = read_corpus(data.model_copy(update={"doubts": "warn"})).warnings
    assert all(any(f"side of {name} read as en" in each for each in told) for name in ("train", "valid"))
    said = read_corpus(data.model_copy(update={"source_language": "en"})).warnings
    assert not any("is claimed" in each for each in said)
    with pytest.raises(Doubt, match="the target side of train read as fr"):
        check_claims(DataConfig(path="x", target="pl"), "train", ENGLISH, FRENCH)


@needs_guesses
def test_the_filter_drops_lines_of_other_languages_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, en=[*ENGLISH, "A house.", "It is raining."], fr=[*FRENCH, "A house.", GERMAN])
    corpus = read_corpus(DataConfig(path=str(tmp_path), filters=FiltersConfig(language=True)))
    assert corpus.train.target == [*FRENCH, "A house."], "short lines stay: their language can't be told"


@needs_guesses
def test_a_filter_by_a_name_that_is_no_language_is_refused() -> None:
    data = DataConfig(path="x", source="src", filters=FiltersConfig(language=True))
    with pytest.raises(UserError, match=r"data\.source 'src' is no language .* name it by data\.source_language"):
        make_filters(data)
