"""report.html: the result, its significance, its basis and its cost, in one file that needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from search.finals.board import Leaderboard
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
    by: TestMetric  # of the ranking
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
    experiment, trials, board, by = found.experiment, found.trials, found.leaderboard, found.by
    ranking = board.ranking if board else []
    metrics = experiment.search.metrics
    page = PAGE.get_template("report.html.jinja").render(
        found=found,
        experiment=experiment,
        metric=experiment.search.compared_by,
        board=board,
        by=by,
        valid={name: metrics[name] for name in metrics if ranking and name in ranking[0].figures},
        sized=bool(ranking) and ranking[0].num_parameters is not None,
        answer=answer(board, by, metrics) if board else [],
        summary=summarise(experiment, found.starts, found.reports, found.finals, board),
        colours=colours_of(ranking),
        ranked_by=titled(board, by, metrics) if board else "",
        forms=ranking_forms(board, by, list(experiment.space.domains)) if board else {},
        figures=_figures(found),
        fronts=_fronts(found),
        explained=explain(experiment, trials, found.finals, ranking) if found.reports else None,
        paths=list(experiment.space.domains),
        final_epochs=sum({line.trial: line.report.epoch for line in found.finals}.values()),
        final_seconds=sum(line.report.device_seconds for line in found.finals),
        repeatable=experiment.search.deterministic or experiment.search.concurrency == 1,
        methods=describe_methods(experiment, board, by, trials) if board else "",
        references=references(experiment, by),
        citation=CITATION,
        files={name: what for name, what in FILES.items() if (file.parent / name).exists()},
        translates=board is not None and isinstance(experiment.trial, TranslatorConfig),
        yaml=dump_yaml(experiment),
        program=program(),
        run_dir=file.parent,
        plotly=plotly_js(),
        dark=DARK,
        short_name=short_name,
        short_value=short_value,
        duration=duration,
        plain=plain,
        interval=partial(told_interval, by),
        signed=lambda difference, fewer=0: f"{difference:+.{max(0, by.metric.digits - fewer)}f}",
    )
    write_atomically(file, page)


def _figures(found: Findings) -> list[Figure]:
    """The figures of the ranking and of the training, as far as there is anything to draw."""
    experiment, board = found.experiment, found.leaderboard
    ranking, curves = board.ranking if board else [], experiment.definition.curves
    if not found.reports:
        return []
    return [
        *([ranking_figure(ranking, found.by)] if board and board.decided_by == found.by.name else []),
        learning_curves(experiment, found.trials, ranking),
        *([curves_figure(curves, ranking[0], found.reports, found.finals)] if curves and ranking else []),
        progress_figure(experiment, found.reports, found.spending),
        *timeline(found.reports, found.finals, ranking),
    ]


def _fronts(found: Findings) -> list[Figure]:
    ranking = found.leaderboard.ranking if found.leaderboard else []
    goals = found.experiment.search.besides or (PARAMETERS,)
    return [front_figure(ranking, found.by, name) for name in goals if len(ranking) > 1 and ranking[0].cost(name)]
