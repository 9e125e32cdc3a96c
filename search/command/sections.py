"""Sections of the report for translation by a command: other measures, samples, the trainer and what it promises."""

from pathlib import Path

from jinja2 import FileSystemLoader

from search.command.finals_config import command_of
from search.command.preparation import promises
from search.command.scoring import CommandMetrics
from search.finals.board import Leaderboard
from search.report.figures.figure import colours_of
from search.report.page import PAGE
from search.settings.experiment import Experiment
from search.translation.sections import beside
from search.translation.sentences import Sentences
from search.translation.templates import FOLDERS

OWN = PAGE.overlay(loader=FileSystemLoader([Path(__file__).parent, *FOLDERS]))


def write_sections(sentences: Sentences, board: Leaderboard, experiment: Experiment) -> str:
    """The sections as HTML."""
    config = command_of(experiment)
    by, *others = CommandMetrics(experiment).test_metrics()
    return OWN.get_template("command.html.jinja").render(
        board=board,
        colours=colours_of(board.ranking),
        data=config.data,
        by=by,
        others=others,
        beside=beside,
        sentences=sentences,
        command=config.command,
        promises=promises(config),
    )
