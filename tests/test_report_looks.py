"""All that each figure of the report holds, down to its colours and widths, against what is written here by hand."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from as_plotly import as_plotly
from boards import TEST_BLEU, entry
from optuna.trial import TrialState
from reports import line_of
from test_report import facts

from search.effects.analysis import Analysis, Effect, Estimate, LevelMean
from search.effects.importance import Importance
from search.effects.observing import Score
from search.record.attributes import Attributes
from search.record.trial import StudyTrial
from search.report.figures.coordinates import parallel_coordinates
from search.report.figures.figure import Figure, empty_plot
from search.report.figures.ranking import front_figure, ranking_figure
from search.report.figures.settings import effects_figure, importance_figure, slices
from search.report.figures.training import curves_figure, learning_curves, progress_figure
from search.settings.experiment import Experiment
from search.translation.length_figure import length_figure
from search.translation.problem import TRANSLATION
from trainables.base.outcomes import Outcome

BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
GREY, INK = "#b9bec6", "#1f2933"
assert TRANSLATION.curves
LOSSES = TRANSLATION.curves
SPACE: dict[str, dict[str, Any]] = {
    "model.num_heads": {"values": [2, 4, 8]},
    "training.learning_rate": {"min": 0.001, "max": 0.016, "distribution": "log_uniform_values"},
    "model.activation": {"values": ["relu", "gelu", "swiglu"]},
    "training.label_smoothing": {"min": 0.0, "max": 0.4},
}


def experiment_of(**changes: Any) -> Experiment:
    content = {"name": "demo", "training": {"epochs": 4}, "space": SPACE}
    return Experiment.model_validate({**content, **changes})


def plotted(figure: Figure) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Its traces, and its layout but for plotly's own template."""
    plot = as_plotly(figure).to_plotly_json()
    plot["layout"].pop("template", None)
    return plot["data"], plot["layout"]


def points(**fields: Any) -> dict[str, Any]:
    return {"type": "scatter", **fields}


def layout(x: str, y: str, height: int = 360, legend: bool = False, **more: Any) -> dict[str, Any]:
    """The layout of an empty plot; more: what a figure adds to it, where axes keep what they have."""
    axis = {"gridcolor": "#e6e8eb", "zeroline": False, "automargin": True, "linecolor": GREY}
    return {
        "height": height,
        "margin": {"l": 10, "r": 16, "t": 24, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "hoverlabel": {"align": "left"},
        "showlegend": legend,
        **more,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x, "standoff": 12, "font": {"size": 13}}, **more.get("xaxis", {})},
        "yaxis": {**axis, "title": {"text": y, "standoff": 12, "font": {"size": 13}}, **more.get("yaxis", {})},
    }


def upright(x: float, **line: Any) -> dict[str, Any]:
    """A line from the bottom to the top."""
    return {"type": "line", "x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain", "line": line}


def label(x: float, text: str) -> dict[str, Any]:
    """At the top of an upright line."""
    place = {"x": x, "xref": "x", "xanchor": "left", "y": 1, "yref": "y domain", "yanchor": "top"}
    return {**place, "text": text, "showarrow": False}


def test_a_figure_is_a_division_that_fits_its_page_and_needs_the_library_of_the_page() -> None:
    figure = ranking_figure([entry(1, 4, 30.0, 1, {})], TEST_BLEU)
    html = figure.html()
    assert html.startswith('<div id="ranking-figure" class="plot" style="height: 124px">')
    content = html.partition('<script type="application/json">')[2].removesuffix("</script></div>")
    assert "<" not in content, "text of a figure can't end its script"
    (point,), looks = json.loads(content).values()
    assert point["error_x"]["array"] == [1.4] and looks == figure.plot.layout


def test_numbers_that_json_has_not_are_left_out() -> None:
    plot = empty_plot("x", "y")
    plot.add(x=[1.0, math.inf], y=np.array([0.1234567, math.nan]))
    assert json.loads(plot.json())["data"] == [{"type": "scatter", "x": [1.0, None], "y": [0.123457, None]}]


def trial(number: int, outcome: str, scores: dict[int, float], params: dict[str, Any] | None = None) -> StudyTrial:
    return StudyTrial(number, number, params or {}, TrialState.COMPLETE, scores, Attributes(Outcome(outcome)))


@pytest.mark.parametrize(("unit", "ticks"), [("epoch", {"dtick": 2}), ("step", {})])
def test_learning_curves(unit: str, ticks: dict[str, Any]) -> None:
    training = {"epochs": 20, **({} if unit == "epoch" else {"report_steps": 2})}
    trials = [
        trial(0, "completed", {2: 10.0, 4: 12.5}),
        trial(1, "diverged", {}),
        trial(2, "stopped", {2: 3.25}),
        trial(3, "completed", {2: 9.0, 4: 11.0}),
        trial(4, "stopped", {2: 2.5, 4: 2.75}),
    ]
    experiment = experiment_of(training=training, search={"scheduler": {"rungs": [2]}})
    figure = learning_curves(experiment, trials, [entry(1, 3, 20.0, 1, {}), entry(2, 0, 19.0, 1, {})])

    def curve(number: int, x: list[int], y: list[float], outcome: str, colour: str) -> dict[str, Any]:
        return points(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": colour, "width": 2.5},
            marker={"size": 6},
            name=f"trial {number}",
            hovertemplate=f"{unit} %{{x}}: %{{y:.2f}}<extra>trial {number}, {outcome}</extra>",
        )

    curves, looks = plotted(figure)
    assert curves == [
        points(
            x=[2, None, 2, 4],
            y=[3.25, None, 2.5, 2.75],
            text=["trial 2, stopped", None, "trial 4, stopped", "trial 4, stopped"],
            mode="lines+markers",
            line={"color": GREY, "width": 1.2},
            marker={"size": 4},
            name="other trials",
            hovertemplate=f"{unit} %{{x}}: %{{y:.2f}}<extra>%{{text}}</extra>",
        ),
        curve(0, [2, 4], [10.0, 12.5], "completed", ORANGE),
        curve(3, [2, 4], [9.0, 11.0], "completed", BLUE),
    ]
    rung = upright(2, dash="dot", color=INK, width=1)
    more: dict[str, Any] = {"shapes": [rung], "annotations": [label(2, "rung")], "xaxis": ticks}
    assert looks == layout(unit, "valid BLEU", legend=True, **more)
    assert (figure.name, figure.heading) == ("learning-curves", "How the trials learnt")
    assert figure.caption == "5 trials, of which 2 were stopped at a rung; the finalists in colour."
    assert figure.alternative == (
        f"valid BLEU at the last {unit}: trial 0 12.50 after {unit} 4; trial 2 3.25 after {unit} 2; "
        f"trial 3 11.00 after {unit} 4; trial 4 2.75 after {unit} 4"
    )


def test_losses() -> None:
    finals = [
        line_of(number, epoch, train_loss=5.0 - epoch, valid_loss=6.0 - epoch + number)
        for epoch in (1, 2)
        for number in (6, 7)
    ]
    figure = curves_figure(LOSSES, replace(entry(1, 3, 20.0, 1, {}), seeds=[2, 3], final_trials=[6, 7]), [], finals)

    def curve(kind: str, seed: int, y: list[float]) -> dict[str, Any]:
        return points(
            x=[1, 2],
            y=y,
            mode="lines+markers",
            line={"color": BLUE, "dash": "solid"} if kind == "train" else {"color": ORANGE, "dash": "dash"},
            name=f"{kind} loss",
            legendgroup=f"{kind}_loss",
            showlegend=seed == 2,
            hovertemplate=f"epoch %{{x:.3g}}: %{{y:.3f}}<extra>{kind} loss, seed {seed}</extra>",
        )

    curves, looks = plotted(figure)
    assert curves == [
        curve("train", 2, [4.0, 3.0]),
        curve("valid", 2, [11.0, 10.0]),
        curve("train", 3, [4.0, 3.0]),
        curve("valid", 3, [12.0, 11.0]),
    ]
    assert looks == layout("epoch", "loss per token (nats)", legend=True, xaxis={"dtick": 1})
    assert (figure.name, figure.heading) == ("loss-figure", "How the best model learnt, trial 3")
    assert figure.alternative == "train loss 3.000, valid loss 10.000"
    assert figure.caption == (
        "Trial 3, 2 seeds; at the end train loss 3.000, valid loss 10.000. Both without label smoothing; train loss is "
        "taken with dropout, over the epoch."
    )


@pytest.mark.parametrize(("epochs", "apart"), [(1, 1), (19, 1), (20, 2), (35, 3)])
def test_ticks_stand_at_whole_epochs_ten_to_twenty_of_them(epochs: int, apart: int) -> None:
    lines = [line_of(3, epoch) for epoch in range(1, epochs + 1)]
    figure = curves_figure(LOSSES, replace(entry(1, 3, 20.0, 1, {}), seeds=[1], final_trials=[]), lines, [])
    assert as_plotly(figure).layout.xaxis.dtick == apart


def test_progress() -> None:
    experiment = experiment_of(search={"budget": {"epochs": 40}})
    lines = [line_of(t, e, valid_bleu=s) for t, e, s in ((0, 1, 5.0), (1, 2, 8.0), (0, 2, 7.0))]
    curves, looks = plotted(figure := progress_figure(experiment, lines, ["3 of 40 epochs", "1 of 9 hours"]))
    hover = "after %{x:.4g} epochs: %{y:.2f}<extra></extra>"
    line = {"color": BLUE, "shape": "hv"}
    assert curves == [
        points(x=[1, 3, 4], y=[5.0, 8.0, 8.0], mode="lines", line=line, cliponaxis=False, hovertemplate=hover)
    ]
    budget: dict[str, Any] = {
        "shapes": [upright(40, dash="dot", color=INK, width=1)],
        "annotations": [label(40, "budget")],
    }
    assert looks == layout("epochs trained, over all trials", "best valid BLEU so far", **budget)
    assert (figure.name, figure.heading) == ("progress-figure", "What the search found, and when")
    assert (
        figure.caption
        == figure.alternative
        == (
            "The best score, 8.00, was first reached after 3 of 4 epochs. If the line still rises at its end, more "
            "trials or more epochs may help. Spent, including finals and earlier studies: 3 of 40 epochs; 1 of 9 hours."
        )
    )


def test_the_ranking() -> None:
    ranking = [entry(place, 10 * place, 32.0 - 2 * place, 1, {}) for place in range(1, 7)]
    curves, looks = plotted(figure := ranking_figure(ranking, TEST_BLEU))
    assert curves == [
        points(
            x=[bleu],
            y=[f"trial {number}"],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": pytest.approx([1.4]),
                "arrayminus": pytest.approx([1.5]),
            },
            mode="markers",
            marker={"size": 11, "color": colour},
            hovertemplate=f"{bleu:.2f} [{bleu - 1.5:.1f}, {bleu + 1.4:.1f}]<extra>trial {number}</extra>",
        )
        for number, bleu, colour in (
            (60, 20.0, GREY),
            (50, 22.0, YELLOW),
            (40, 24.0, PINK),
            (30, 26.0, GREEN),
            (20, 28.0, ORANGE),
            (10, 30.0, BLUE),
        )
    ]
    assert looks == layout("test BLEU", "", height=294, yaxis={"type": "category"})
    assert (figure.name, figure.heading) == ("ranking-figure", "How sure the ranking is")
    assert figure.caption == (
        "Points are means over seeds, bars their 95% intervals. Systems whose bars overlap can still differ "
        "significantly: groups compare the systems on the same sentences."
    )
    assert figure.alternative.split("; ")[1] == "trial 20 28.00 [26.5, 29.4]"


@pytest.mark.parametrize(("finalists", "numbered"), [(12, True), (13, False)])
def test_quality_and_size(finalists: int, numbered: bool) -> None:
    """The points of many finalists have no numbers, but for those on the front."""
    ranking = [
        replace(
            entry(place, 100 + place, 40.0 - place, 1, {}),
            num_parameters=1000 * (40 - place % 7),
            pareto=place in (1, 2, 6),  # of 39, 38 and 34 thousand
        )
        for place in range(1, finalists + 1)
    ]
    curves, looks = plotted(figure := front_figure(ranking, TEST_BLEU))
    front = {"mode": "lines", "line": {"color": INK, "width": 1, "dash": "dot"}, "hoverinfo": "skip"}
    assert curves[0] == points(x=[34_000, 38_000, 39_000], y=[34.0, 38.0, 39.0], **front)
    assert curves[1:] == [
        points(
            x=[line.num_parameters],
            y=[line.score],
            mode="markers+text" if numbered or line.pareto else "markers",
            text=[str(line.trial)],
            textposition="top right",
            error_x={"type": "data", "array": [0.0], "visible": False},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [line.score_ci[1] - line.score],
                "arrayminus": [line.score - line.score_ci[0]],
            },
            marker={"size": 11, "color": [BLUE, ORANGE, GREEN, PINK, YELLOW, *[GREY] * 8][place]},
            hovertemplate=f"{line.num_parameters:,} parameters: {line.score:.2f}<extra>trial {line.trial}</extra>",
        )
        for place, line in enumerate(ranking)
    ]
    assert looks == layout("parameters", "test BLEU", height=320)
    assert (figure.name, figure.heading) == ("front-parameters", "Quality and size")
    assert figure.caption == (
        "Bars are 95% intervals. By score, tests can't tell apart trials 106 and 102 and 101. "
        "On the front, where no other finalist is as good in all and better in one: 106, 102, 101."
    )
    assert figure.alternative.startswith("trial 106 34,000 parameters, BLEU 34.00; trial 1")
    smallest = [told.split()[1] for told in figure.alternative.split("; ")]
    sizes = {str(line.trial): (line.num_parameters, -line.score) for line in ranking}
    assert smallest == sorted(sizes, key=lambda number: sizes[number]), "of one size, the better first"


def test_the_front_of_speed_has_intervals_on_both_axes() -> None:
    """A finalist whose speed is not known is left out."""
    figures = {"seconds_per_sentence": 0.02, "seconds_per_sentence_error": 0.05}
    first, second = entry(1, 4, 30.0, 1, {}), entry(2, 5, 29.0, 2, {})
    ranking = [replace(first, figures={**first.figures, **figures}, pareto=True), second]
    figure = front_figure(ranking, TEST_BLEU, "seconds_per_sentence")
    _, point = as_plotly(figure).data
    assert point.error_x.array == pytest.approx((1.96 * 0.02 * 0.05,)) and point.error_x.visible
    assert figure.heading == "Quality and speed" and figure.alternative.startswith(
        "trial 4 0.02 seconds for a sentence"
    )


def test_lengths() -> None:
    curves, looks = plotted(figure := length_figure(facts()))
    assert curves == [
        points(
            x=[0, 1, 2],
            y=y,
            mode="lines",
            line={"color": colour, "shape": "hvh"},
            name=language,
            hovertemplate=f"%{{y:,}} of %{{x}} tokens<extra>{language}</extra>",
        )
        for language, y, colour in (("en", [0, 5, 9], BLUE), ("fr", [0, 4, 10], ORANGE))
    ]
    assert looks == layout("tokens of a sentence", "training sentences", height=280, legend=True)
    assert (figure.name, figure.heading) == ("length-figure", "How long the sentences are")
    assert figure.caption == f"{figure.alternative}."


PARAMS: dict[int, dict[str, Any]] = {
    0: {"model.num_heads": 8, "training.learning_rate": 0.001, "model.activation": "gelu"},
    1: {"model.num_heads": 8, "training.learning_rate": 0.016, "model.activation": "swiglu"},
    2: {"model.num_heads": 2, "training.learning_rate": 0.004, "model.activation": "gelu"},
    3: {"model.num_heads": 4, "training.learning_rate": 0.002, "model.activation": "gelu"},
    4: {"model.num_heads": 4, "training.learning_rate": 0.002, "model.activation": "gelu"},  # has no score
}
TRIALS = [trial(n, "completed" if n < 2 else "stopped", {}, params) for n, params in PARAMS.items()]
TRIALS[1].params["training.label_smoothing"] = 0.1
SCORES = {
    0: Score(10.0, 4, None, 0.0, False),
    1: Score(30.0, 4, None, 0.0, False),
    2: Score(20.0, 4, 2, 1.5, False),
    3: Score(25.0, 4, 1, 40.0, True),
}
TOLD = {
    0: "10.00 at epoch 4",
    1: "30.00 at epoch 4",
    2: "20.00 ± 1.5, forecast for epoch 4, from epoch 2",
    3: "25.00, forecast for epoch 4, from epoch 1: these trials cannot tell it",
}
EFFECTS = [
    Effect(
        "model.num_heads",
        [Estimate("each doubling of num_heads", -4.0, 1.25, 0.5, None)],
        [LevelMean("2", 2, 20.0, 2.5, 1, None), LevelMean("8", 8, 22.0, 1.5, 2, None)],
        4,
    ),
    Effect("model.activation", [Estimate("relu", 0.25, 1.0, 0.5, None), Estimate("gelu", 3.0, 1.0, 0.5, None)], [], 4),
    Effect(
        "training.learning_rate",
        [Estimate("each doubling of learning_rate", 9.0, 30.0, 0.5, 1200)],
        [
            LevelMean("0.001 to 0.0025", 0.0016, 21.0, 1.0, 2, None),
            LevelMean("0.0025 to 0.006", 0.004, 23.0, 90.0, 1, 900),
            LevelMean("0.006 to 0.016", 0.01, 24.0, 90.0, 1, 1200),
        ],
        4,
    ),
]
FOUND = Analysis(EFFECTS, [], 0, None, [], None, SCORES, "at epoch 4")


def test_parallel_coordinates() -> None:
    figure = parallel_coordinates(experiment_of(), TRIALS, FOUND, [entry(1, 1, 30.0, 1, {})])
    curves, looks = plotted(figure)
    legend = [
        points(
            x=[None],
            y=[None],
            mode="lines+markers",
            line={"dash": dash, "color": INK, "width": 1.3},
            marker={"symbol": symbol, "color": INK},
            name=name,
        )
        for name, symbol, dash in (
            ("measured at epoch 4", "circle", "solid"),
            ("forecast for epoch 4", "circle-open", "dot"),
        )
    ]
    assert curves[:2] == legend
    places = {  # heads, learning rate, activation, label smoothing, score; of one value: −0.025 to 0.025 around it
        0: [0.975, 0.0, 0.475, -0.225, 0.0],
        2: [0.0, 0.5, 0.5, -0.2, 0.5],
        3: [0.5, 0.25, 0.525, -0.175, 0.75],
        1: [1.025, 1.0, 1.0, 0.25, 1.0],
    }
    shades = {0: "#e3e6ea", 2: "#d2d7dc", 3: "#b1b8c1", 1: BLUE}

    def lines(number: int, dash: str, width: float = 1.3) -> dict[str, Any]:
        return points(
            x=[0, 1, 2, 3, 4],
            y=pytest.approx(places[number]),
            mode="lines",
            line={"color": shades[number], "width": width, "dash": dash},
            showlegend=False,
            hoverinfo="skip",
        )

    assert curves[2:6] == [lines(0, "solid"), lines(2, "dot"), lines(3, "dot"), lines(1, "solid", width=3)]
    assert curves[6:] == [
        points(
            x=[4, 4],
            y=pytest.approx([places[number][-1] for number in numbers]),
            mode="markers",
            marker={"symbol": symbol, "size": 8, "color": [shades[number] for number in numbers]},
            text=[f"trial {number}: {TOLD[number]}" for number in numbers],
            showlegend=False,
            hovertemplate="%{text}<extra></extra>",
        )
        for numbers, symbol in (([0, 1], "circle"), ([2, 3], "circle-open"))
    ]
    names = ["num_heads", "learning_rate", "activation", "label_smoothing", "valid BLEU<br>at epoch 4"]
    ticks: list[dict[float, str]] = [
        {0.0: "2", 0.5: "4", 1.0: "8"},
        {0.0: "0.001", 0.25: "0.002", 0.5: "0.004", 0.75: "0.008", 1.0: "0.016"},
        {0.0: "relu", 0.5: "gelu", 1.0: "swiglu"},
        {0.0: "0", 0.25: "0.1", 0.5: "0.2", 0.75: "0.3", 1.0: "0.4", -0.2: "unused"},
        {0.0: "10", 0.25: "15", 0.5: "20", 0.75: "25", 1.0: "30"},
    ]
    annotations: list[dict[str, Any]] = []
    for column, (name, axis) in enumerate(zip(names, ticks, strict=True)):
        heading = {"x": column, "y": 1.1, "text": name, "yanchor": "bottom", "font": {"weight": 600}}
        annotations.append({**heading, "showarrow": False})
        side = {"xanchor": "left", "xshift": 3} if column == 4 else {"xanchor": "right", "xshift": -3}
        for place, text in axis.items():
            beside = {"x": column, "y": pytest.approx(place), "text": text, "bgcolor": "rgba(255,255,255,.8)"}
            annotations.append({**beside, **side, "showarrow": False})
    bottoms = [-0.05, -0.05, -0.05, -0.275, -0.05]
    line = {"line": {"color": INK, "width": 1}, "layer": "below"}
    shapes = [
        {"x0": column, "x1": column, "y0": pytest.approx(low), "y1": 1.05, **line} for column, low in enumerate(bottoms)
    ]
    xaxis = {"visible": False, "range": [-0.6, 4.5]}
    yaxis = {"visible": False, "range": pytest.approx([-0.3, 1.22])}
    assert looks == layout(
        "", "", height=440, legend=True, annotations=annotations, shapes=shapes, xaxis=xaxis, yaxis=yaxis
    )
    assert (figure.name, figure.heading) == ("parallel-coordinates", "All trials at once")
    assert figure.least_width == 5 * 124
    assert figure.caption.startswith(
        "Each line is a trial, from its values of the settings to its score. Finalists have "
    )
    assert "their colours; of the others, better ones are darker. Lines with the same value are side" in figure.caption
    assert "2 scores were measured at epoch 4, 2 are forecasts for stopped" in figure.caption
    assert figure.alternative.startswith(
        "The best trials by valid BLEU: trial 1, 30.00 at epoch 4: num_heads 8, learning_rate 0.016, activation swiglu,"
        f" label_smoothing 0.1; trial 3, {TOLD[3]}: num_heads 4, "
    )


def test_an_axis_that_all_use_needs_no_room_below_it() -> None:
    space = {"model.num_heads": SPACE["model.num_heads"]}
    alone = Analysis([], [], 0, None, [], 9, {0: SCORES[0]}, "at epoch 4")
    figure = parallel_coordinates(experiment_of(space=space), TRIALS[:1], alone, [])
    assert list(as_plotly(figure).layout.yaxis.range) == pytest.approx([-0.1, 1.22])
    assert [line.name for line in as_plotly(figure).data] == ["measured at epoch 4", None, None], "there is no forecast"
    assert list(as_plotly(figure).data[1].y) == [1.0, 0.0], "of one score"
    assert [text.text for text in as_plotly(figure).layout.annotations][-5:] == ["10", "10.2", "10.5", "10.8", "11"]


@pytest.mark.parametrize(("most", "ticks"), [(12, [str(n) for n in range(1, 13)]), (13, ["1", "4", "7", "10", "13"])])
def test_an_axis_lists_a_dozen_values_and_of_more_the_quarters(most: int, ticks: list[str]) -> None:
    space = {"training.warmup_steps": {"min": 1, "max": most}}
    only = trial(0, "completed", {}, {"training.warmup_steps": 3})
    found = Analysis([], [], 0, None, [], 9, {0: SCORES[0]}, "at epoch 4")
    figure = parallel_coordinates(experiment_of(space=space), [only], found, [])
    assert [text.text for text in as_plotly(figure).layout.annotations if text.x == 0][1:] == ticks


def test_settings_one_by_one() -> None:
    heads, rate, activation, smoothing = slices(experiment_of(), TRIALS, FOUND)

    def scores(name: str, kind: str, x: list[Any], numbers: list[int]) -> dict[str, Any]:
        symbol, colour = ("circle", BLUE) if kind == "measured" else ("circle-open", GREY)
        when = "at epoch 4" if kind == "measured" else "for epoch 4"
        return points(
            x=x,
            y=[SCORES[number].value for number in numbers],
            mode="markers",
            name=kind,
            marker={"symbol": symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
            text=[str(number) for number in numbers],
            hovertemplate=f"trial %{{text}}: %{{y:.2f}}, {kind} {when}<br>{name} %{{x}}<extra></extra>",
        )

    def means(x: list[Any], y: list[float], margins: list[float], mode: str = "lines+markers") -> dict[str, Any]:
        return points(
            x=x,
            y=y,
            error_y={"type": "data", "array": margins, "thickness": 1.5, "width": 5},
            mode=mode,
            name="mean",
            showlegend=bool(x),
            marker={"symbol": "diamond", "size": 9, "color": ORANGE},
            line={"width": 1.5, "color": ORANGE},
            hovertemplate="mean %{y:.2f} ± %{error_y.array:.2f}<extra></extra>",
        )

    def looks(name: str, **xaxis: Any) -> dict[str, Any]:
        return layout(name, "valid BLEU at epoch 4", height=270, legend=True, xaxis=xaxis)

    listed = {"type": "category", "categoryorder": "array"}
    assert plotted(heads) == (
        [
            scores("num_heads", "measured", ["8", "8"], [0, 1]),
            scores("num_heads", "forecast", ["2", "4"], [2, 3]),
            means(["2", "8"], [20.0, 22.0], [2.5, 1.5]),
        ],
        looks("num_heads", **listed, categoryarray=["2", "4", "8"]),
    )
    assert plotted(rate) == (
        [
            scores("learning_rate", "measured", [0.001, 0.016], [0, 1]),
            scores("learning_rate", "forecast", [0.004, 0.002], [2, 3]),
            means([0.0016], [21.0], [1.0]),
        ],
        looks("learning_rate", type="log", dtick="D2", tickformat="~r"),
    )
    assert plotted(activation) == (
        [
            scores("activation", "measured", ["gelu", "swiglu"], [0, 1]),
            scores("activation", "forecast", ["gelu", "gelu"], [2, 3]),
            means([], [], [], "markers"),
        ],
        looks("activation", **listed, categoryarray=["relu", "gelu", "swiglu"]),
    )
    assert plotted(smoothing) == (
        [
            scores("label_smoothing", "measured", [0.1], [1]),
            scores("label_smoothing", "forecast", [], []),
            means([], [], []),
        ],
        looks("label_smoothing"),
    )
    figures = (heads, rate, activation, smoothing)
    assert [(figure.name, figure.heading) for figure in figures] == [
        (f"setting-{path.replace('.', '-')}", path.partition(".")[2]) for path in SPACE
    ]
    assert [figure.caption for figure in figures] == [
        "",
        "No mean at 0.0025 to 0.006, 0.006 to 0.016: these trials cannot tell it; about 1,200 would.",
        "",
        "",
    ]
    assert [figure.alternative for figure in figures] == [
        "valid BLEU at epoch 4 by num_heads. mean at 2: 20.00 ± 2.50 (1 trial); mean at 8: 22.00 ± 1.50 (2 trials)",
        "valid BLEU at epoch 4 by learning_rate. mean at 0.001 to 0.0025: 21.00 ± 1.00 (2 trials)",
        "valid BLEU at epoch 4 by activation. "
        + "; ".join(f"{PARAMS[number]['model.activation']}: {TOLD[number]}" for number in range(4)),
        f"valid BLEU at epoch 4 by label_smoothing. 0.1: {TOLD[1]}",
    ]


def test_effects() -> None:
    curves, looks = plotted(figure := effects_figure(FOUND, "BLEU"))
    assert curves == [
        points(
            x=[size],
            y=[text],
            error_x={"type": "data", "array": [margin], "color": colour},
            mode="markers",
            marker={"size": 11, "color": colour},
            hovertemplate=f"{told}<extra>{text}</extra>",
        )
        for text, size, margin, colour, told in (
            ("activation gelu", 3.0, 1.0, BLUE, "+3.00 ± 1"),
            ("activation relu", 0.25, 1.0, GREY, "+0.25 ± 1"),
            ("each doubling of num_heads", -4.0, 1.25, BLUE, "−4.00 ± 1.25"),
        )
    ]
    zero = [upright(0, color=INK, width=1)]
    title = "difference in BLEU at epoch 4"
    assert looks == layout(title, "", height=186, yaxis={"type": "category"}, shapes=zero)
    assert (figure.name, figure.heading) == ("effects-figure", "Size of the effects")
    assert figure.alternative == (
        "each doubling of num_heads −4.00 ± 1.25; activation relu +0.25 ± 1; activation gelu +3.00 ± 1"
    )
    told = "The effect of a step while the other settings stay the same, with 95% intervals; grey: not significant."
    assert figure.caption == f"{told} Not drawn, as these trials cannot tell: learning_rate."
    sure = Analysis(EFFECTS[:2], [], 0, None, [], None, SCORES, "at epoch 4")
    assert effects_figure(sure, "BLEU").caption == told


def test_importance() -> None:
    found = [Importance("model.num_heads", 0.75, 0.5), Importance("model.max_distance", None, 0.25)]
    curves, looks = plotted(figure := importance_figure(found, "What is what."))
    assert curves == [
        {
            "type": "bar",
            "x": shares,
            "y": ["max_distance", "num_heads"],
            "orientation": "h",
            "name": method,
            "marker": {"color": colour},
            "hovertemplate": f"%{{x:.0%}}<extra>{method}</extra>",
        }
        for method, shares, colour in (("PED-ANOVA", [0.25, 0.5], ORANGE), ("fANOVA", [None, 0.75], BLUE))
    ]
    assert looks["legend"].pop("traceorder") == "reversed", "as the bars lie"
    xaxis, yaxis = {"tickformat": ".0%", "rangemode": "tozero"}, {"type": "category"}
    bars: dict[str, Any] = {"barmode": "group", "bargap": 0.3}
    assert looks == layout("share of importance", "", height=198, legend=True, xaxis=xaxis, yaxis=yaxis, **bars)
    assert (figure.name, figure.heading, figure.caption) == (
        "importance-figure",
        "Which settings matter",
        "What is what.",
    )
    assert figure.alternative == ("num_heads: fANOVA 75%, PED-ANOVA 50%; max_distance: fANOVA unknown, PED-ANOVA 25%")
