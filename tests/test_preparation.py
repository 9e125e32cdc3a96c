"""What people see of their corpus before anything starts."""

from pathlib import Path

import pytest
from corpora import write_digits
from rich.cells import cell_len
from rich.console import Console

from search.settings.experiment import Experiment
from search.translation.preparation import PREPARATION
from search.translation.shown_pairs import show_pairs
from trainables.base.errors import UserError
from trainables.base.log import shown_on
from trainables.data.reading.text import Split


def shown(split: Split, capsys: pytest.CaptureFixture[str], width: int = 80) -> list[str]:
    show_pairs(split, Console(width=width))
    return capsys.readouterr().out.splitlines()


def test_pairs_from_all_over_the_text_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [str(number) for number in range(4001)]
    assert shown(Split(numbers, numbers[::-1]), capsys) == [
        "pair 1: 0 | 4000",
        "pair 2,001: 2000 | 2000",
        "pair 4,001: 4000 | 0",
    ]
    assert shown(Split(["A dog runs."], ["Un chien court."]), capsys) == ["pair 1: A dog runs. | Un chien court."]
    assert len(shown(Split(["a", "b"], ["c", "d"]), capsys)) == 2


@pytest.mark.parametrize(("width", "longest"), [(80, 80), (300, 108)])
def test_long_sides_have_a_line_each_and_fit_the_terminal(
    width: int, longest: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(Split(["x" * 500], ["晚上" * 50]), capsys, width)
    assert [line[:9] for line in lines] == ["pair 1: x", "      | 晚"]
    assert len(lines[0]) == longest and all(line.endswith("…") for line in lines)
    assert cell_len(lines[1]) <= longest


def test_what_can_not_be_seen_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = shown(Split(["a\tb\x1b[31m\u200b [red]c :dog:"], ["\u202ed\u0085"]), capsys)
    assert line == r"pair 1: a\tb\x1b[31m\u200b [red]c :dog: | \u202ed\x85"


def test_pairs_come_before_warnings_and_unknown_characters_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_digits(tmp_path / "corpus")
    lines = (folder / "valid.en").read_text().splitlines()
    lines[:2] = ["three ß one", "two 七七 ß"]
    (folder / "valid.en").write_text("\n".join(lines) + "\n")
    experiment = Experiment.model_validate(
        {
            "name": "r",
            "output_dir": str(tmp_path),
            "data": {"path": str(folder)},
            "tokenizer": {"vocab_size": 60},
            "space": {"tokenizer.vocab_size": {"values": [55, 60]}},
        }
    )
    console = Console(width=500)
    with shown_on(console):
        PREPARATION.prepare(experiment, console)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told[:4]] == ["pair 1", "pair 151", "pair 300", "warning"]
    (unknown,) = [line for line in told if "characters" in line]
    assert unknown.startswith("warning: 2 of 40 source sentences of valid have characters that the tokenizer has not")
    assert "ß (U+00DF)" in unknown and "七 (U+4E03)" in unknown


def test_rounds_shorter_than_the_largest_batch_of_the_space_are_refused(tmp_path: Path) -> None:
    """Before anything starts, not by trials that fail."""
    experiment = Experiment.model_validate(
        {
            "name": "r",
            "output_dir": str(tmp_path),
            "data": {"path": str(write_digits(tmp_path / "corpus"))},
            "tokenizer": {"vocab_size": 60},
            "training": {"report_tokens": 500, "batch_tokens": 100},
            "space": {"training.batch_tokens": {"values": [100, 4000]}},
            "search": {"scheduler": "none"},
        }
    )
    message = r"space\.training\.batch_tokens: with 4,000, training\.report_tokens: 500 is less than the .* of a batch"
    with pytest.raises(UserError, match=message):
        PREPARATION.prepare(experiment, Console())
