"""Figures of the finalists: their scores with intervals, and their sizes."""

from search.finals.board import LeaderboardEntry
from search.finals.stages import TestMetric
from search.report.figures.figure import GREY, INK, Figure, colours_of, empty_plot


def ranking_figure(ranking: list[LeaderboardEntry], by: TestMetric) -> Figure:
    """The test scores of the finalists with intervals, the best on top."""
    colours = colours_of(ranking)
    plot = empty_plot(by.metric.title, "", height=90 + 34 * len(ranking))
    for entry in reversed(ranking):
        low, high = entry.score_ci
        score = entry.score
        plot.add_scatter(
            x=[score],
            y=[f"trial {entry.trial}"],
            error_x={"type": "data", "symmetric": False, "array": [high - score], "arrayminus": [score - low]},
            mode="markers",
            marker={"size": 11, "color": colours.get(entry.trial, GREY)},
            hovertemplate=f"{by.metric.show(score)} [{low:.4g}, {high:.4g}]<extra>trial {entry.trial}</extra>",
        )
    plot.update_yaxes(type="category")
    alternative = "; ".join(
        f"trial {e.trial} {by.metric.show(e.score)} [{e.score_ci[0]:.4g}, {e.score_ci[1]:.4g}]" for e in ranking
    )
    caption = "Points are means over seeds, bars their 95% intervals. Systems whose bars overlap can still differ "
    caption += f"significantly: groups compare the systems on the same {by.items}."
    return Figure("ranking-figure", "How sure the ranking is", caption, alternative, plot)


def pareto_figure(ranking: list[LeaderboardEntry], by: TestMetric) -> Figure:
    """The test score against the number of parameters, with the Pareto front."""
    colours = colours_of(ranking)
    order = sorted(ranking, key=lambda entry: (entry.num_parameters, -by.metric.worth(entry.score)))
    front = [entry for entry in order if entry.pareto]
    plot = empty_plot("parameters", by.metric.title, height=320)
    plot.add_scatter(
        x=[entry.num_parameters for entry in front],
        y=[entry.score for entry in front],
        mode="lines",
        line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    few = len(ranking) <= 12
    for entry in ranking:
        size, score = entry.num_parameters, entry.score
        plot.add_scatter(
            x=[size],
            y=[score],
            mode="markers+text" if few or entry in front else "markers",
            text=[str(entry.trial)],
            textposition="top center",
            marker={"size": 11, "color": colours.get(entry.trial, GREY)},
            hovertemplate=f"{size:,} parameters: {by.metric.show(score)}<extra>trial {entry.trial}</extra>",
        )
    scores = [entry.score for entry in ranking]
    room = 0.15 * ((max(scores) - min(scores)) or 1.0)  # space for the numbers above the points
    plot.update_yaxes(range=[min(scores) - room, max(scores) + 1.5 * room])
    named = ", ".join(str(entry.trial) for entry in front)
    caption = f"On the front, where no other finalist is as good in both and better in one: {named}."
    alternative = "; ".join(
        f"trial {e.trial} {e.num_parameters:,} parameters, {by.short} {by.metric.show(e.score)}" for e in order
    )
    return Figure("pareto-size", "Quality and size", caption, alternative, plot)
