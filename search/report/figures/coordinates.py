"""All hyperparameters and the score at once: parallel coordinates."""

from collections import Counter
from dataclasses import dataclass

from search.effects.analysis import Analysis
from search.effects.sentences import counted
from search.finals.board import LeaderboardEntry
from search.record.trial import StudyTrial
from search.report.figures.figure import BEHIND, INK, SHADES, Figure, Plot, colours_of, empty_plot
from search.settings.experiment import Experiment
from search.settings.wording import short_name, short_value
from search.space.domain import Domain

MOST_TICKS = 12
AXIS = 124  # pixels for each axis with its labels
UNUSED = -0.2  # the place, on an axis from 0 to 1, of trials that don't use the hyperparameter
FAN = 0.05  # trials with the same value are spread over this share of the axis


def parallel_coordinates(
    experiment: Experiment, trials: list[StudyTrial], found: Analysis, ranking: list[LeaderboardEntry]
) -> Figure:
    """A line for each trial with a comparable score, through its value on each axis; finalists are in colour.

    It is made of plain lines, those of one shade as one. Plotly's own figure needs WebGL, which not every browser has,
    and can't mark finalists or forecasts.
    """
    metric, minimize = experiment.search.compared_by.title, experiment.search.direction == "minimize"
    unit, scores = experiment.training.unit, {number: score.value for number, score in found.scores.items()}
    drawn = sorted((t for t in trials if t.number in scores), key=lambda t: scores[t.number], reverse=minimize)
    axes = [_coordinate(path, domain, drawn) for path, domain in experiment.space.domains.items()]
    axes.append(_score_coordinate(f"{metric}<br>{found.stage}", [scores[trial.number] for trial in drawn]))
    colours, kinds = colours_of(ranking), kinds_of(found)
    plot = empty_plot("", "", height=440, legend=True)
    for kind in kinds:
        line, marker = {"dash": kind.dash, "color": INK, "width": 1.3}, {"symbol": kind.symbol, "color": INK}
        plot.add(x=[None], y=[None], mode="lines+markers", line=line, marker=marker, name=kind.name)
    _add_lines(plot, axes, drawn, colours, kinds)
    for kind in kinds:
        rows = [row for row, trial in enumerate(drawn) if trial.number in kind.trials]
        plot.add(
            x=[len(axes) - 1] * len(rows),
            y=[axes[-1].places[row] for row in rows],
            mode="markers",
            marker={"symbol": kind.symbol, "size": 8, "color": [_colour(row, drawn, colours) for row in rows]},
            text=[f"trial {drawn[row].number}: {found.scores[drawn[row].number].as_text(unit)}" for row in rows],
            showlegend=False,
            hovertemplate="%{text}<extra></extra>",
        )
    for column, axis in enumerate(axes):
        _add_axis(plot, column, axis, axis is axes[-1])
    plot.axis("x", visible=False, range=[-0.6, len(axes) - 0.5])
    plot.axis("y", visible=False, range=[min(UNUSED if UNUSED in axis.ticks else 0 for axis in axes) - 0.1, 1.22])
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
class Kind:
    """Trials whose scores are measured, or forecasts, and how they are drawn."""

    name: str
    trials: frozenset[int]
    symbol: str
    dash: str


def kinds_of(found: Analysis) -> list[Kind]:
    """The kinds that have trials."""
    measured = frozenset(number for number, score in found.scores.items() if score.origin is None)
    forecast = found.scores.keys() - measured
    kinds = (
        Kind(f"measured {found.stage}", measured, "circle", "solid"),
        Kind(f"forecast for {found.stage.removeprefix('at ')}", frozenset(forecast), "circle-open", "dot"),
    )
    return [kind for kind in kinds if kind.trials]


def _colour(row: int, drawn: list[StudyTrial], colours: dict[int, str]) -> str:
    """The colour of a finalist, or a shade: the rows are from worse to better."""
    return colours.get(drawn[row].number, SHADES[row * len(SHADES) // len(drawn)])


def _add_lines(
    plot: Plot, axes: list["_Axis"], drawn: list[StudyTrial], colours: dict[int, str], kinds: list[Kind]
) -> None:
    """The lines of trials, those of one colour and kind as one trace with gaps; better ones are on top."""
    alike: dict[tuple[bool, str, str], list[int]] = {}
    for row, trial in enumerate(drawn):
        dash = next(kind.dash for kind in kinds if trial.number in kind.trials)
        alike.setdefault((trial.number in colours, _colour(row, drawn, colours), dash), []).append(row)
    for (is_finalist, colour, dash), rows in sorted(alike.items(), key=lambda each: each[0][0]):
        plot.add(
            x=([*range(len(axes)), None] * len(rows))[:-1],
            y=[place for row in rows for place in (*(axis.places[row] for axis in axes), None)][:-1],
            mode="lines",
            line={"color": colour, "width": 3 if is_finalist else 1.3, "dash": dash},
            showlegend=False,
            hoverinfo="skip",
        )


def _add_axis(plot: Plot, column: int, axis: "_Axis", is_last: bool) -> None:
    bottom, top = min(*axis.places, 0) - FAN, 1 + FAN
    plot.shape(x0=column, x1=column, y0=bottom, y1=top, line={"color": INK, "width": 1}, layer="below")
    plot.label(x=column, y=1.1, text=axis.name, yanchor="bottom", font={"weight": 600})
    side = {"xanchor": "left", "xshift": 3} if is_last else {"xanchor": "right", "xshift": -3}
    for place, text in axis.ticks.items():
        plot.label(x=column, y=place, text=text, bgcolor=BEHIND, **side)


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
    alike, before, fanned = Counter(places), Counter[float](), []
    for place in places:
        others = alike[place] - 1
        fanned.append(place + FAN * (before[place] / others - 0.5 if others else 0))
        before[place] += 1
    return _Axis(short_name(path), fanned, ticks)


def _score_coordinate(name: str, values: list[float]) -> _Axis:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    ticks = {place / 4: f"{low + span * place / 4:.3g}" for place in range(5)}
    return _Axis(name, [(value - low) / span for value in values], ticks)
