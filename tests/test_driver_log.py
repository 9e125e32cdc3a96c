"""The log of a search says what happened and when, and touches nothing."""

import logging
import os
import re
from pathlib import Path

import pytest
from rich.console import Console
from test_work import open_work, simulate

from search.commands.lines import Levels
from search.commands.search import Searching
from search.record.driver_log import LOG, driver_log
from trainables.base.command_line import parse_options, take
from trainables.base.help_pages import Program
from trainables.base.log import logger, say, shown_on, warn


def lines(run_dir: Path) -> list[str]:
    return (run_dir / LOG).read_text(encoding="utf-8").splitlines()


def test_what_becomes_of_each_trial_is_there_with_times(tmp_path: Path) -> None:
    work = open_work(tmp_path, "asha_promotion")
    with driver_log(tmp_path):
        simulate(work, {})
    said = lines(tmp_path)
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ (INFO|NOTICE|WARNING) +\S", line) for line in said)
    text = "\n".join(said)
    for trial in work.study.trials.values():
        own = [line for line in said if re.search(rf"\btrial {trial.number}\b", line)]
        assert f"trial {trial.number} is proposed after {trial.attributes.after} reports: {trial.params}" in text
        reports = [float(line.split()[-1]) for line in own if " reports epoch " in line]
        assert reports == pytest.approx(list(trial.scores.values()), rel=1e-5)
        assert own[-1].endswith(f"trial {trial.number} {trial.outcome}")
    assert " waits at epoch " in text and " is promoted at epoch " in text
    assert said[-1].endswith("the driver ends: all is done")


def test_the_reason_of_an_end_is_there_and_the_next_driver_appends(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room"), driver_log(tmp_path):
        raise OSError("no room\nat all")
    with driver_log(tmp_path):
        logger.info("again")
    ended, again, _ = lines(tmp_path)
    assert ended.endswith("INFO    the driver ends: OSError: no room at all") and again.endswith("again")
    logging.getLogger("babeltune.work").info("nobody listens")
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize("kind", ["pipe", "folder", "full disk"])
def test_a_log_that_can_not_be_written_touches_nothing(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = {"pipe": os.mkfifo, "folder": Path.mkdir, "full disk": lambda file: file.symlink_to("/dev/full")}
    make[kind](tmp_path / LOG)  # type: ignore[operator]
    with driver_log(tmp_path):
        logger.warning("something")
    assert capsys.readouterr().err == ""


def test_a_disk_that_is_full_later_touches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with driver_log(tmp_path):
        (handler,) = (each for each in logger.handlers if isinstance(each, logging.FileHandler))
        handler.stream = Path("/dev/full").open("w")  # noqa: SIM115  # the handler closes it
        logger.warning("something")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["said", "warning: warned"]),
        (["--quiet"], ["warning: warned"]),
        (["--verbose"], ["noted", "said", "warning: warned"]),
        (["--quiet", "--verbose"], ["noted", "said", "warning: warned"]),
    ],
)
def test_the_terminal_has_what_was_asked_for_and_the_log_has_all(
    options: list[str], shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, rest = take(Levels, parse_options(Searching, ["--name", "x", *options], Program("x", "")))
    assert rest == {"name": "x"}
    with shown_on(Console(), own.level), driver_log(tmp_path):
        logger.info("noted")
        say("said")
        warn("warned")
    assert [line for line in capsys.readouterr().out.splitlines() if "the driver ends" not in line] == shown
    assert [line.split(maxsplit=3)[3] for line in lines(tmp_path)][:3] == ["noted", "said", "warned"]


def test_without_a_program_lines_go_where_the_logging_of_the_process_sends_them(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    say("said")
    warn("warned")
    assert caplog.messages == ["warned"] and capsys.readouterr().out == ""
