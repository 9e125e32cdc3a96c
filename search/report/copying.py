"""The ranking in the forms in which papers and tables take it."""

import csv
import io
from collections.abc import Callable

from search.finals.board import Leaderboard, LeaderboardEntry
from search.finals.stages import TestMetric
from search.report.answer import told_interval
from search.settings.wording import short_name, short_value

Rows = list[list[str]]  # the first one has the headings


def ranking_forms(board: Leaderboard, by: TestMetric, paths: list[str]) -> dict[str, str]:
    """The ranking as LaTeX, Markdown and CSV. paths: the hyperparameters, a column each."""
    columns: dict[str, Callable[[LeaderboardEntry], str]] = {
        "rank": lambda entry: str(entry.rank),
        "group": lambda entry: str(entry.group),
        "trial": lambda entry: str(entry.trial),
        by.short: lambda entry: by.metric.show(entry.score),
        "95% interval": lambda entry: told_interval(by, entry),
        "seeds": lambda entry: str(len(entry.seeds)),
    }
    if board.ranking[0].num_parameters is not None:
        columns["parameters"] = lambda entry: f"{entry.num_parameters or 0}"
    rows = [[*columns, *map(short_name, paths)]]
    for entry in board.ranking:
        settings = [short_value(entry.config[path]) if path in entry.config else "–" for path in paths]
        rows.append([*(cell(entry) for cell in columns.values()), *settings])
    return {name: form(rows) for name, form in FORMS.items()}


def as_latex(rows: Rows) -> str:
    """A tabular with the rules of the package booktabs."""
    head, *body = [" & ".join(map(_latex, row)) + r" \\" for row in rows]
    lines = [rf"\begin{{tabular}}{{{'r' * len(rows[0])}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def as_markdown(rows: Rows) -> str:
    """A table of GitHub's Markdown."""
    head, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([head, "|" + "---:|" * len(rows[0]), *body])


def as_csv(rows: Rows) -> str:
    """Values with commas between."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")


FORMS: dict[str, Callable[[Rows], str]] = {"LaTeX": as_latex, "Markdown": as_markdown, "CSV": as_csv}
SPECIAL = {"\\": r"\textbackslash{}", "–": "--", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
