"""Figures of the finalists: their scores with intervals, and their sizes."""

from search.finals.board import LeaderboardEntry
from search.finals.stages import TestMetric
from search.report.figures.figure import GREY, INK, Figure, colours_of, empty_plot
from search.settings.goals import MEMORY, PARAMETERS, SECONDS, TRAIN_SECONDS

NORMAL_95 = 1.96  # standard errors


def ranking_figure(ranking: list[LeaderboardEntry], by: TestMetric) -> Figure:
    """The test scores of the finalists with intervals, the best on top."""
    colours = colours_of(ranking)
    plot = empty_plot(by.metric.title, "", height=90 + 34 * len(ranking))
    for entry in reversed(ranking):
        low, high = entry.score_ci
        score = entry.score
        plot.add(
            x=[score],
            y=[f"trial {entry.trial}"],
            error_x={"type": "data", "symmetric": False, "array": [high - score], "arrayminus": [score - low]},
            mode="markers",
            marker={"size": 11, "color": colours.get(entry.trial, GREY)},
            hovertemplate=f"{by.metric.show(score)} [{low:.4g}, {high:.4g}]<extra>trial {entry.trial}</extra>",
        )
    plot.axis("y", type="category")
    alternative = "; ".join(
        f"trial {e.trial} {by.metric.show(e.score)} [{e.score_ci[0]:.4g}, {e.score_ci[1]:.4g}]" for e in ranking
    )
    caption = "Points are means over seeds, bars their 95% intervals. Systems whose bars overlap can still differ "
    caption += f"significantly: groups compare the systems on the same {by.items}."
    return Figure("ranking-figure", "How sure the ranking is", caption, alternative, plot)


TITLES = {
    PARAMETERS: ("Quality and size", "parameters"),
    SECONDS: ("Quality and speed", "seconds for a sentence"),
    MEMORY: ("Quality and memory", "MiB while it translates"),
    TRAIN_SECONDS: ("Quality and the time of training", "seconds of a training"),
}


def front_figure(ranking: list[LeaderboardEntry], by: TestMetric, cost: str = PARAMETERS) -> Figure:
    """The test score against a cost, with the front of both. Entries without the cost are left out."""
    costs = {entry.trial: value for entry in ranking if (value := entry.cost(cost)) is not None}
    colours, shown = colours_of(ranking), [entry for entry in ranking if entry.trial in costs]
    order = sorted(shown, key=lambda entry: (costs[entry.trial], -by.metric.worth(entry.score)))
    front = [entry for entry in order if entry.pareto]
    title, axis = TITLES.get(cost, (f"Quality and {cost}", cost))
    plot = empty_plot(axis, by.metric.title, height=320)
    plot.add(
        x=[costs[entry.trial] for entry in front],
        y=[entry.score for entry in front],
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    few = len(ranking) <= 12
    for entry in shown:
        value, score, (low, high) = costs[entry.trial], entry.score, entry.score_ci
        error = NORMAL_95 * value * (entry.figures.get(f"{cost}_error") or 0.0)
        told = _told(value)
        plot.add(
            x=[value],
            y=[score],
            error_x={"type": "data", "array": [error], "visible": error > 0},
            error_y={"type": "data", "symmetric": False, "array": [high - score], "arrayminus": [score - low]},
            mode="markers+text" if few or entry in front else "markers",
            text=[str(entry.trial)],
            textposition="top right",
            marker={"size": 11, "color": colours.get(entry.trial, GREY)},
            hovertemplate=f"{told} {axis}: {by.metric.show(score)}<extra>trial {entry.trial}</extra>",
        )
    named = ", ".join(str(entry.trial) for entry in front)
    together = {group: [str(e.trial) for e in front if e.group == group] for group in {e.group for e in front}}
    alike = [" and ".join(trials) for trials in together.values() if len(trials) > 1]
    equal = f"By score, tests can't tell apart trials {'; nor '.join(alike)}. " if alike else ""
    caption = f"Bars are 95% intervals. {equal}"
    caption += f"On the front, where no other finalist is as good in all and better in one: {named}."
    alternative = "; ".join(
        f"trial {e.trial} {_told(costs[e.trial])} {axis}, {by.short} {by.metric.show(e.score)}" for e in order
    )
    return Figure(f"front-{cost}", title, caption, alternative, plot)


def _told(value: float) -> str:
    """12345 -> "12,345"; 0.0123 -> "0.0123"."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
