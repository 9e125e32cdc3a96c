"""The ranking of a search in the terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from search.finals.board import Leaderboard
from search.finals.stages import TestMetric
from search.report.answer import titled, told_interval
from trainables.base.metrics import Metric

BESIDE = 2  # columns for further scores, which 80 columns have room for


def ranking_table(
    board: Leaderboard, by: TestMetric, others: Sequence[TestMetric], metrics: Mapping[str, Metric]
) -> Table:
    """The leaderboard for a terminal of 80 columns.

    by: the metric of the ranking. others: other metrics of the finals. metrics: those that can compare trials.
    """
    title = f"Ranking by {titled(board, by, metrics)}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    first = next(iter(metrics))
    digits = {other.name: other.metric.digits - 1 for other in others}  # one less than a score that is ranked by
    shown = {heading: (name, digits.get(name, 1)) for heading, name in [*by.beside.items()][:BESIDE]}
    if board.decided_by != by.name:  # the last one makes room for what has decided
        shown = {**dict(list(shown.items())[:-1]), "loss": (board.decided_by, metrics[board.decided_by].digits)}
    shown["valid"] = first, metrics[first].digits
    sized = ["params"] if board.ranking[0].num_parameters is not None else []
    for heading in ("rank", "group", "trial", by.short, "95% interval", *shown, *sized):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in board.ranking:
        figures = (f"{entry.figures[name] or 0:.{digits}f}" for name, digits in shown.values())
        size = [f"{(entry.num_parameters or 0) / 1e6:.2f}M"] if sized else []
        cells = (entry.rank, entry.group, entry.trial, by.metric.show(entry.score), told_interval(by, entry), *figures)
        table.add_row(*map(str, cells), *size)
    return table
