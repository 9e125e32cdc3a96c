"""A figure of the report as plotly's own object, which refuses what plotly.js has not."""

import plotly.graph_objects as go

from search.report.figures.figure import Figure


def as_plotly(figure: Figure) -> go.Figure:
    return go.Figure(figure.plot.data, figure.plot.layout)
