"""What every figure is, and how all of them look."""

from dataclasses import dataclass, field

import plotly.graph_objects as go

from search.finals.board import LeaderboardEntry

# Okabe and Ito 2008: told apart by colour-blind readers, and in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
GREY, INK, GRID = "#b9bec6", "#1f2933", "#e6e8eb"


@dataclass(frozen=True)
class Figure:
    """A plot, its heading, and what a reader should see in it; `alternative` is for those who can't see it.

    A figure that needs more pixels than a screen has scrolls inside its frame.
    """

    name: str
    heading: str
    caption: str
    alternative: str
    plot: go.Figure
    least_width: int = field(default=0, kw_only=True)

    def html(self) -> str:
        """The figure as a <div>; plotly.js itself must stand in the page once."""
        options = {"responsive": True, "displayModeBar": False}
        html: str = self.plot.to_html(full_html=False, include_plotlyjs=False, config=options, div_id=self.name)
        return html


def colours_of(ranking: list[LeaderboardEntry]) -> dict[int, str]:
    """Trial -> its colour in every figure; the best ones have their own, all others are grey."""
    return {entry.trial: colour for entry, colour in zip(ranking, COLOURS, strict=False)}


def empty_plot(x: str, y: str, height: int = 360, legend: bool = False) -> go.Figure:
    """Axes with titles, and nothing in them yet."""
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
