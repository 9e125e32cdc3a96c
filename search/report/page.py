"""report.html: the result, its significance, its basis and its cost, in one file that needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from search.finals.board import Leaderboard, LeaderboardEntry
from search.finals.stages import TestMetric
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.answer import answer, titled, told_interval
from search.report.copying import ranking_forms
from search.report.explaining import explain
from search.report.figures.figure import DARK, Figure, colours_of
from search.report.figures.ranking import front_figure, ranking_figure
from search.report.figures.timeline import timeline
from search.report.figures.training import curves_figure, learning_curves, progress_figure
from search.report.library import plotly_js
from search.report.methods import CITATION, describe_methods, references
from search.report.summary import Progress, summarise
from search.settings.experiment import Experiment
from search.settings.goals import PARAMETERS
from search.settings.wording import duration, plain, short_name, short_value
from trainables.base.files import write_atomically
from trainables.base.installed import program
from trainables.base.translator_config import TranslatorConfig
from trainables.base.yaml_files import dump_yaml

TEMPLATES = Path(__file__).parent
PAGE = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# What lies beside the report, and what it is.
FILES = {
    "leaderboard.csv": "the ranking, one value in each cell",
    "leaderboard.json": "the ranking with all comparisons",
    "trials.csv": "a row for each trial",
    "trials.jsonl": "every report of every trial",
    "finals.jsonl": "every report of every retraining",
    "race.json": "the rounds of the finals",
    "experiment.yaml": "the configuration",
    "study.db": "the Optuna study",
    "driver.log": "what happened, with times",
}


@dataclass(frozen=True)
class Findings:
    """Everything that a search has found, or has found so far."""

    experiment: Experiment
    trials: list[StudyTrial]
    reports: list[JournalLine]  # the lines of trials.jsonl
    finals: list[JournalLine]  # the lines of finals.jsonl
    leaderboard: Leaderboard | None  # None while the search runs
    by: TestMetric | None  # of the ranking; None as long as there is none
    data: str  # a line about the data
    sections: str = ""  # the sections of the problem, as HTML
    # When finalists were frozen, after which the test data could be read: the last one is for this ranking, the others
    # for the rankings before the search was extended.
    test_opened: list[str] = field(default_factory=list)
    spending: list[str] = field(default_factory=list)  # sentences about the budget; none without one
    planned: list[str] = field(default_factory=list)  # sentences on how far off the plan was; none without one
    starts: Sequence[dict[str, Any]] = ()  # of the driver: when, versions and machine; the last is the present one
    progress: Progress | None = None  # of a search that runs


def write_report(file: Path, found: Findings) -> None:
    """Write the page as one file."""
    write_atomically(file, render(found, file.parent))


def render(found: Findings, run_dir: Path) -> str:
    """The page. run_dir: the folder that it lies in."""
    experiment, board, by = found.experiment, found.leaderboard, found.by
    ranking = board.ranking if board else []
    return PAGE.get_template("report.html.jinja").render(
        found=found,
        experiment=experiment,
        metric=experiment.search.compared_by,
        board=board,
        summary=summarise(experiment, found.starts, found.reports, found.finals, board),
        figures=_figures(found, ranking),
        explained=explain(experiment, found.trials, found.finals, ranking),
        paths=list(experiment.space.domains),
        plotly=plotly_js(),
        dark=DARK,
        short_name=short_name,
        short_value=short_value,
        duration=duration,
        plain=plain,
        **(_about_ranking(found, board, by, run_dir) if board and by else {}),
    )


def _about_ranking(found: Findings, board: Leaderboard, by: TestMetric, run_dir: Path) -> dict[str, Any]:
    """What the page has once there is a ranking."""
    experiment, ranking, metrics = found.experiment, board.ranking, found.experiment.search.metrics
    goals = experiment.search.besides or (PARAMETERS,)
    return {
        "by": by,
        "answer": answer(board, by, metrics),
        "ranked_by": titled(board, by, metrics),
        "forms": ranking_forms(board, by, list(experiment.space.domains)),
        "colours": colours_of(ranking),
        "valid": {name: metrics[name] for name in metrics if name in ranking[0].figures},
        "raced": experiment.finals.most_seeds is not None,
        "sized": ranking[0].num_parameters is not None,
        "fronts": [front_figure(ranking, by, name) for name in goals if len(ranking) > 1 and ranking[0].cost(name)],
        "final_epochs": sum({line.trial: line.report.epoch for line in found.finals}.values()),
        "final_seconds": sum(line.report.device_seconds for line in found.finals),
        "methods": describe_methods(experiment, board, by, found.trials),
        "references": references(experiment, by),
        "citation": CITATION,
        "repeatable": experiment.search.deterministic or experiment.search.concurrency == 1,
        "translates": isinstance(experiment.trial, TranslatorConfig),
        "program": program(),
        "run_dir": run_dir,
        "files": {name: what for name, what in FILES.items() if (run_dir / name).exists()},
        "yaml": dump_yaml(experiment),
        "interval": partial(told_interval, by),
        "signed": lambda difference, fewer=0: f"{difference:+.{max(0, by.metric.digits - fewer)}f}",
    }


def _figures(found: Findings, ranking: list[LeaderboardEntry]) -> list[Figure]:
    """The figures of the ranking and of the training."""
    experiment, board, by, curves = found.experiment, found.leaderboard, found.by, found.experiment.definition.curves
    return [
        *([ranking_figure(ranking, by)] if board and by and board.decided_by == by.name else []),
        learning_curves(experiment, found.trials, ranking),
        *([curves_figure(curves, ranking[0], found.reports, found.finals)] if curves and ranking else []),
        progress_figure(experiment, found.reports, found.spending),
        *timeline(found.reports, found.finals, ranking),
    ]
