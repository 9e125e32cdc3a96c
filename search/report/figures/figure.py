"""The class of figures, and their style."""

import json
import math
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from search.finals.board import LeaderboardEntry

# Okabe and Ito 2008: colour-blind readers can distinguish them, also in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
GREY, INK, GRID, BEHIND = "#b9bec6", "#1f2933", "#e6e8eb", "rgba(255,255,255,.8)"
SHADES = ("#e3e6ea", "#d2d7dc", "#c1c7ce", "#b1b8c1", "#a0a9b3", "#8e98a4", "#7b8794")  # from worse to better
# What stands for a colour where the page is dark; the others are seen on both.
DARK = {
    GREY: "#6d7782",
    INK: "#e3e7ec",
    GRID: "#2c343d",
    BEHIND: "rgba(21,25,30,.8)",
    **dict(zip(SHADES, ("#2a3138", "#363f48", "#444e59", "#545f6b", "#66727f", "#7b8895", "#94a1ae"), strict=True)),
}
FONT = "system-ui, sans-serif"


@dataclass(frozen=True)
class Plot:
    """What plotly.js draws: traces, and a layout. See https://plotly.com/javascript/reference."""

    layout: dict[str, Any]
    data: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str = "scatter", **fields: Any) -> None:
        """Add a trace."""
        self.data.append({"type": kind, **fields})

    def axis(self, name: str, **fields: Any) -> None:
        """Change the axis x or y."""
        self.layout[f"{name}axis"] |= fields

    def upright(self, x: float, text: str = "", **line: Any) -> None:
        """A line from the bottom to the top, with a text beside its upper end."""
        ends = {"x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
        self.layout.setdefault("shapes", []).append(
            {"type": "line", **ends, "line": {"color": INK, "width": 1, **line}}
        )
        if text:
            self.label(x=x, xref="x", xanchor="left", y=1, yref="y domain", yanchor="top", text=text)

    def shape(self, **fields: Any) -> None:
        """Add a shape."""
        self.layout.setdefault("shapes", []).append(fields)

    def label(self, **fields: Any) -> None:
        """Add a text without an arrow."""
        self.layout.setdefault("annotations", []).append({**fields, "showarrow": False})

    def json(self) -> str:
        """Both as JSON, with null for numbers that are not finite."""
        return json.dumps(_plain({"data": self.data, "layout": self.layout}), separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    """Arrays as lists, and numbers as JSON has them, to six digits: a screen shows fewer."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Figure:
    """A plot with a heading and a caption; `alternative` is its text for readers who can't see it.

    A figure that needs more pixels than a screen has scrolls within its frame. One with colours of its own has them on
    dark pages, too.
    """

    name: str
    heading: str
    caption: str
    alternative: str
    plot: Plot
    least_width: int = field(default=0, kw_only=True)
    own_colours: bool = field(default=False, kw_only=True)

    def html(self) -> str:
        """The figure as a <div>, which draw.js of the page fills by plotly.js."""
        content = self.plot.json().replace("<", "\\u003c")
        style = f"height: {self.plot.layout['height']}px"
        return (
            f'<div id="{escape(self.name)}" class="plot{" light" if self.own_colours else ""}" style="{style}">'
            f'<script type="application/json">{content}</script></div>'
        )


def colours_of(ranking: list[LeaderboardEntry]) -> dict[int, str]:
    """The colour of each finalist in all figures, by trial; trials without a colour of their own are grey."""
    return {entry.trial: colour for entry, colour in zip(ranking, COLOURS, strict=False)}


def empty_plot(x: str, y: str, height: int = 360, legend: bool = False) -> Plot:
    """A plot with axes and titles, but without data."""
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": GREY}
    return Plot(
        {
            "height": height,
            "margin": {"l": 10, "r": 16, "t": 24, "b": 10},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 13, "color": INK},
            "hoverlabel": {"align": "left"},
            "showlegend": legend,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            "xaxis": {**axis, "title": {"text": x, "standoff": 12, "font": {"size": 13}}},
            "yaxis": {**axis, "title": {"text": y, "standoff": 12, "font": {"size": 13}}},
        }
    )
