"""Figures of hyperparameters: all at once, one by one, their effects, and their importance."""

from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from search.effects.analysis import Analysis
from search.effects.importance import Importance
from search.effects.sentences import counted, signed
from search.finals.board import LeaderboardEntry
from search.record.trial import StudyTrial
from search.report.figures.figure import COLOURS, GREY, INK, Figure, colours_of, empty_plot
from search.settings.experiment import Experiment
from search.settings.wording import count, short_name, short_value
from search.space.domain import Domain

MOST_TICKS = 12
AXIS = 124  # pixels for each axis with its labels
UNUSED = -0.2  # the place, on an axis from 0 to 1, of trials that don't use the hyperparameter
FAN = 0.05  # trials with the same value are spread over this share of the axis
SHADES = [[0.0, "#e3e6ea"], [1.0, "#7b8794"]]  # of lines, from worse to better


def parallel_coordinates(
    experiment: Experiment, trials: list[StudyTrial], found: Analysis, ranking: list[LeaderboardEntry]
) -> Figure:
    """A line for each trial with a comparable score, through its value on each axis; finalists are in colour.

    It is made of plain lines. Plotly's own figure needs WebGL, which not every browser has, and can't mark finalists or
    forecasts.
    """
    metric, minimize = experiment.search.compared_by.title, experiment.search.direction == "minimize"
    unit, scores = experiment.training.unit, {number: score.value for number, score in found.scores.items()}
    drawn = sorted((t for t in trials if t.number in scores), key=lambda t: scores[t.number], reverse=minimize)
    axes = [_coordinate(path, domain, drawn) for path, domain in experiment.space.domains.items()]
    axes.append(_score_coordinate(f"{metric}<br>{found.stage}", [scores[trial.number] for trial in drawn]))
    colours = colours_of(ranking)
    kinds = _kinds(found)
    plot = empty_plot("", "", height=440, legend=True)
    for kind in kinds:
        line, marker = {"dash": kind.dash, "color": INK, "width": 1.3}, {"symbol": kind.symbol, "color": INK}
        plot.add_scatter(x=[None], y=[None], mode="lines+markers", line=line, marker=marker, name=kind.name)
    for row, trial in enumerate(drawn):  # from worse to better, so that better ones are on top
        shade = sample_colorscale(SHADES, row / max(1, len(drawn) - 1))[0]
        colour, width = colours.get(trial.number, shade), 3 if trial.number in colours else 1.3
        kind = next(kind for kind in kinds if trial.number in kind.trials)
        described = found.scores[trial.number].as_text(unit)
        plot.add_scatter(
            x=list(range(len(axes))),
            y=[axis.places[row] for axis in axes],
            mode="lines+markers",
            line={"color": colour, "width": width, "dash": kind.dash},
            marker={"symbol": kind.symbol, "size": [0] * (len(axes) - 1) + [8], "color": colour},
            showlegend=False,
            hovertemplate=f"trial {trial.number}: {described}<extra></extra>",
        )
    for column, axis in enumerate(axes):
        ends = {"y0": min(*axis.places, 0) - FAN, "y1": 1 + FAN}
        plot.add_shape(x0=column, x1=column, **ends, line={"color": INK, "width": 1}, layer="below")
        plot.add_annotation(x=column, y=1.1, text=axis.name, showarrow=False, yanchor="bottom", font={"weight": 600})
        for place, label in axis.ticks.items():
            plot.add_annotation(
                x=column,
                y=place,
                text=label,
                showarrow=False,
                xanchor="left" if axis is axes[-1] else "right",
                xshift=3 if axis is axes[-1] else -3,
                bgcolor="rgba(255,255,255,.8)",
            )
    plot.update_xaxes(visible=False, range=[-0.6, len(axes) - 0.5])
    plot.update_yaxes(visible=False, range=[min(UNUSED if UNUSED in axis.ticks else 0 for axis in axes) - 0.1, 1.22])
    best = "; ".join(
        f"trial {trial.number}, {found.scores[trial.number].as_text(unit)}: "
        + ", ".join(f"{short_name(path)} {short_value(value)}" for path, value in trial.params.items())
        for trial in drawn[:-6:-1]
    )
    caption = (
        "Each line is a trial, from its values of the settings to its score. Finalists have their colours; of the "
        f"others, better ones are darker. Lines with the same value are side by side. {counted(found)}"
    )
    alternative, width = f"The best trials by {metric}: {best}", AXIS * len(axes)
    return Figure("parallel-coordinates", "All trials at once", caption, alternative, plot, least_width=width)


@dataclass(frozen=True)
class _Kind:
    """Trials whose scores are measured, or forecasts, and how they are drawn."""

    name: str
    trials: list[int]
    symbol: str
    dash: str


def _kinds(found: Analysis) -> list[_Kind]:
    """The kinds that have trials."""
    measured = [number for number, score in found.scores.items() if score.origin is None]
    forecast = [number for number in found.scores if number not in measured]
    kinds = (
        _Kind(f"measured {found.stage}", measured, "circle", "solid"),
        _Kind(f"forecast for {found.stage.removeprefix('at ')}", forecast, "circle-open", "dot"),
    )
    return [kind for kind in kinds if kind.trials]


@dataclass(frozen=True)
class _Axis:
    """An axis. places: of the trials, in 0..1. ticks: place -> label."""

    name: str
    places: list[float]
    ticks: dict[float, str]


def _coordinate(path: str, domain: Domain, trials: list[StudyTrial]) -> _Axis:
    """The axis of a hyperparameter: listed values evenly spaced, a range linear or logarithmic, unused below."""
    places = [domain.unit(trial.params[path]) if path in trial.params else UNUSED for trial in trials]
    choices = domain.choices()
    if choices is not None and len(choices) <= MOST_TICKS:
        ticks = {domain.unit(choice): short_value(choice) for choice in choices}
    else:
        ticks = {quarter / 4: short_value(domain.near(quarter / 4)) for quarter in range(5)}
    if UNUSED in places:
        ticks[UNUSED] = "unused"
    fanned = []
    for row, place in enumerate(places):
        others = places.count(place) - 1
        fanned.append(place + FAN * (places[:row].count(place) / others - 0.5 if others else 0))
    return _Axis(short_name(path), fanned, ticks)


def _score_coordinate(name: str, values: list[float]) -> _Axis:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    ticks = {place / 4: f"{low + span * place / 4:.3g}" for place in range(5)}
    return _Axis(name, [(value - low) / span for value in values], ticks)


def slices(experiment: Experiment, trials: list[StudyTrial], found: Analysis) -> list[Figure]:
    """For each hyperparameter, the comparable scores of all trials over its values, and the mean at each value."""
    metric, unit = f"{experiment.search.compared_by.title} {found.stage}", experiment.training.unit
    means = {effect.path: effect.means for effect in found.effects}
    figures = []
    for path, domain in experiment.space.domains.items():
        name = short_name(path)
        plot = empty_plot(name, metric, height=270, legend=True)
        drawn = [trial for trial in trials if trial.number in found.scores and path in trial.params]
        for kind in _kinds(found):
            chosen = [trial for trial in drawn if trial.number in kind.trials]
            colour = COLOURS[0] if kind.symbol == "circle" else GREY
            plot.add_scatter(
                x=[short_value(t.params[path]) if domain.values else t.params[path] for t in chosen],
                y=[found.scores[t.number].value for t in chosen],
                mode="markers",
                name=kind.name.split()[0],  # the axis says where
                marker={"symbol": kind.symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
                text=[f"trial {t.number}: {found.scores[t.number].as_text(unit)}" for t in chosen],
                hovertemplate=f"%{{text}}<br>{name} %{{x}}<extra></extra>",
            )
        mean = [level for level in means.get(path, []) if level.needed is None]
        unknown = [level for level in means.get(path, []) if level.needed is not None]
        plot.add_scatter(
            x=[short_value(level.at) if domain.values else level.at for level in mean],
            y=[level.mean for level in mean],
            error_y={"type": "data", "array": [level.margin for level in mean], "thickness": 1.5, "width": 5},
            mode="lines+markers" if domain.is_ordered else "markers",
            name="mean",
            showlegend=bool(mean),
            marker={"symbol": "diamond", "size": 9, "color": COLOURS[1]},
            line={"width": 1.5, "color": COLOURS[1]},
            hovertemplate="mean %{y:.2f} ± %{error_y.array:.2f}<extra></extra>",
        )
        if domain.values:
            plot.update_xaxes(
                type="category", categoryorder="array", categoryarray=[short_value(v) for v in domain.values]
            )
        elif "log" in (domain.distribution or ""):
            plot.update_xaxes(type="log", dtick="D2", tickformat="~r")
        described = [
            f"mean at {m.label}: {m.mean:.2f} ± {m.margin:.2f} ({count(m.trials, 'trial', 'trials')})" for m in mean
        ]
        seen = [f"{short_value(t.params[path])}: {found.scores[t.number].as_text(unit)}" for t in drawn]
        alternative = f"{metric} by {name}. " + "; ".join(described or seen)
        caption = ""
        if unknown:
            needed = max(level.needed for level in unknown if level.needed is not None)
            places = ", ".join(level.label for level in unknown)
            caption = f"No mean at {places}: these trials cannot tell it; about {needed:,} would."
        figures.append(Figure(f"setting-{path.replace('.', '-')}", name, caption, alternative, plot))
    return figures


def effects_figure(found: Analysis, unit: str) -> Figure:
    """The effects with their intervals, the largest on top; those that are not significant are grey."""
    rows = [
        (each.label if len(effect.estimates) == 1 else f"{short_name(effect.path)} {each.label}", each)
        for effect in found.effects
        if effect.verdict != "wide"
        for each in effect.estimates
    ]
    plot = empty_plot(f"difference in {unit} {found.stage}", "", height=90 + 32 * len(rows))
    for label, each in reversed(rows):
        colour = COLOURS[0] if each.verdict == "clear" else GREY
        plot.add_scatter(
            x=[each.size],
            y=[label],
            error_x={"type": "data", "array": [each.margin], "color": colour},
            mode="markers",
            marker={"size": 11, "color": colour},
            hovertemplate=f"{signed(each.size, unit)} ± {each.margin:.3g}<extra>{label}</extra>",
        )
    plot.add_vline(x=0, line={"color": INK, "width": 1})
    plot.update_yaxes(type="category")
    alternative = "; ".join(f"{label} {signed(each.size, unit)} ± {each.margin:.3g}" for label, each in rows)
    caption = "The effect of a step while the other settings stay the same, with 95% intervals; grey: not significant."
    if wide := [short_name(effect.path) for effect in found.effects if effect.verdict == "wide"]:
        caption += f" Not drawn, as these trials cannot tell: {', '.join(wide)}."
    return Figure("effects-figure", "Size of the effects", caption, alternative, plot)


def importance_figure(importances: list[Importance], caption: str) -> Figure:
    """Both measures of importance of each hyperparameter, side by side."""
    plot: go.Figure = empty_plot("share of importance", "", height=110 + 44 * len(importances), legend=True)
    names = [short_name(each.path) for each in reversed(importances)]
    for method, colour in (("PED-ANOVA", COLOURS[1]), ("fANOVA", COLOURS[0])):
        shares = [each.fanova if method == "fANOVA" else each.ped_anova for each in reversed(importances)]
        plot.add_bar(
            x=shares,
            y=names,
            orientation="h",
            name=method,
            marker={"color": colour},
            hovertemplate=f"%{{x:.0%}}<extra>{method}</extra>",
        )
    plot.update_layout(barmode="group", bargap=0.3, legend={"traceorder": "reversed"})
    plot.update_xaxes(tickformat=".0%", rangemode="tozero")
    plot.update_yaxes(type="category")
    alternative = "; ".join(
        f"{short_name(each.path)}: fANOVA {'unknown' if each.fanova is None else format(each.fanova, '.0%')}, "
        f"PED-ANOVA {each.ped_anova:.0%}"
        for each in importances
    )
    return Figure("importance-figure", "Which settings matter", caption, alternative, plot)
