"""The class of figures, and their style."""

from dataclasses import dataclass, field

import plotly.graph_objects as go

from search.finals.board import LeaderboardEntry

# Okabe and Ito 2008: colour-blind readers can distinguish them, also in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
GREY, INK, GRID = "#b9bec6", "#1f2933", "#e6e8eb"


@dataclass(frozen=True)
class Figure:
    """A plot with a heading and a caption; `alternative` is its text for readers who can't see it.

    A figure that needs more pixels than a screen has scrolls within its frame.
    """

    name: str
    heading: str
    caption: str
    alternative: str
    plot: go.Figure
    least_width: int = field(default=0, kw_only=True)

    def html(self) -> str:
        """The figure as a <div>; the page must contain plotly.js."""
        options = {"responsive": True, "displayModeBar": False}
        html: str = self.plot.to_html(full_html=False, include_plotlyjs=False, config=options, div_id=self.name)
        return html


def colours_of(ranking: list[LeaderboardEntry]) -> dict[int, str]:
    """The colour of each finalist in all figures, by trial; trials without a colour of their own are grey."""
    return {entry.trial: colour for entry, colour in zip(ranking, COLOURS, strict=False)}


def empty_plot(x: str, y: str, height: int = 360, legend: bool = False) -> go.Figure:
    """A plot with axes and titles, but without data."""
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": GREY}
    return go.Figure(
        layout={
            "height": height,
            "margin": {"l": 10, "r": 16, "t": 24, "b": 10},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
            "showlegend": legend,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            "xaxis": {**axis, "title": {"text": x}},
            "yaxis": {**axis, "title": {"text": y}},
        }
    )
