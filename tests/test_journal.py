"""The journal of a search: a line per report, sums over them, and what is no report."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reports import line_of, make_report

from search.record.journal import Journal, JournalLine, Totals, make_line, read_lines
from trainables.base.sealing import Damaged, sealed


def line(trial: int, epoch: float, seconds: float = 1.0, **more: Any) -> JournalLine:
    return line_of(trial, epoch, train_seconds=seconds, eval_seconds=0.25, **more)


def written(line: JournalLine) -> str:
    return json.dumps(line.stored())


def test_a_report_is_written_once_and_the_first_stands(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    assert read_lines(file) == [] and not file.exists()
    journal, first = Journal(file), line(0, 1)
    assert journal.append(first) == first
    assert journal.append(line(0, 1, 9.0)) == first
    others = [line(0, 2), line(1, 1), line(1, 1.5)]
    assert [journal.append(other) for other in others] == others
    journal.close()
    again = Journal(file)
    assert again.append(line(1, 1.5, 9.0)) == others[-1]
    assert journal.lines == again.lines == read_lines(file) == [first, *others]
    stored = [json.loads(text) for text in file.read_text().splitlines()]
    assert stored == [sealed(each.stored()) for each in [first, *others]]
    again.close()


def test_a_line_says_when_the_driver_took_the_report_and_an_old_one_does_not(tmp_path: Path) -> None:
    journal, before = Journal(tmp_path / "trials.jsonl"), datetime.now(UTC).replace(microsecond=0)
    journal.append(make_line(0, make_report()))
    journal.append(line_of(1))  # as of version 0.1
    journal.close()
    new, old = read_lines(journal.file)
    assert new.time and before <= datetime.fromisoformat(new.time) <= datetime.now(UTC)
    assert old.time is None and "time" not in old.stored()


def test_totals_are_of_all_lines_so_far_each_counted_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trials.jsonl")
    lines = [line(0, 1), line(0, 2, 2.0), line(1, 0.5, 4.0, devices=0.5), line(0, 3), line(1, 1.25, 0.75, devices=2.0)]
    assert [each.report.device_seconds for each in lines] == [1.25, 2.25, 2.125, 1.25, 2.0]
    expected = [(1, 1.25), (2, 3.5), (2.5, 5.625), (3.5, 6.875), (4.25, 8.875)]  # the last epochs of both, summed
    assert (journal.totals.epochs, journal.totals.seconds) == (0, 0)
    for each, (epochs, seconds) in zip(lines, expected, strict=True):
        journal.append(each)
        for _ in range(2):
            assert (journal.totals.epochs, journal.totals.seconds) == (epochs, seconds)
    for totals in (journal.totals, Totals(lines)):
        assert (totals.epochs_of, totals.seconds_of) == ({0: 3, 1: 1.25}, {0: 4.75, 1: 4.125})
    journal.close()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[1]",
        b"",
        b"\xff",
        b'{"epoch": 1}',
        b'{"trial": 0}',
        b'{"trial": "x", "epoch": 1}',
        b'{"trial": 0, "epoch": "1"}',
        b'{"trial": 0, "epoch": 1, "seal": "0"}',
    ],
    ids=str,
)
def test_a_line_that_is_no_report_is_refused_and_stays(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    content = json.dumps(sealed(line(0, 1).stored())).encode() + b"\n" + content + b"\n"
    file.write_bytes(content)
    for read in (read_lines, Journal):
        with pytest.raises(Damaged, match=r"trials.jsonl: line 2:? is damaged"):
            read(file)
    assert file.read_bytes() == content


def test_a_line_without_a_checksum_is_of_version_0_1(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    file.write_text(written(line(0, 1)) + '\n{"trial": 0, "ep')
    assert read_lines(file) == [line(0, 1)] and file.read_text().endswith("ep"), "reading changes nothing"
    journal = Journal(file)
    assert journal.lines == [line(0, 1)] and file.read_text() == written(line(0, 1)) + "\n"
    journal.close()
