"""The figures of the report: plotly values made of plain numbers, each with a sentence that says what it shows."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from search.experiment import Experiment
from search.study import StudyTrial
from search.wording import METRIC_NAMES, count, plain, short_name, short_value

# Okabe and Ito 2008: told apart by colour-blind readers, and in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
GREY, INK, GRID = "#b9bec6", "#1f2933", "#e6e8eb"
Reports = list[dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A plot, its heading, and what a reader should see in it; `alternative` is for those who can't see it."""

    name: str
    heading: str
    caption: str
    alternative: str
    plot: go.Figure

    def html(self) -> str:
        """The figure as a <div>; plotly.js itself must stand in the page once."""
        options = {"responsive": True, "displayModeBar": False}
        html: str = self.plot.to_html(full_html=False, include_plotlyjs=False, config=options, div_id=self.name)
        return html


def colours_of(ranking: list[dict[str, Any]]) -> dict[int, str]:
    """Trial -> its colour in every figure; the best ones have their own, all others are grey."""
    return {entry["trial"]: colour for entry, colour in zip(ranking, COLOURS, strict=False)}


def ranking_figure(ranking: list[dict[str, Any]]) -> Figure:
    """Test BLEU of the finalists with their intervals, best on top."""
    colours = colours_of(ranking)
    plot = _empty_plot("test BLEU", "", height=90 + 34 * len(ranking))
    for entry in reversed(ranking):
        low, high = entry["test_bleu_ci"]
        bleu = entry["test_bleu"]
        plot.add_scatter(
            x=[bleu],
            y=[f"trial {entry['trial']}"],
            error_x={"type": "data", "symmetric": False, "array": [high - bleu], "arrayminus": [bleu - low]},
            mode="markers",
            marker={"size": 11, "color": colours.get(entry["trial"], GREY)},
            hovertemplate=f"{bleu:.2f} [{low:.1f}, {high:.1f}]<extra>trial {entry['trial']}</extra>",
        )
    plot.update_yaxes(type="category")
    alternative = "; ".join(
        f"trial {e['trial']} {e['test_bleu']:.2f} [{e['test_bleu_ci'][0]:.1f}, {e['test_bleu_ci'][1]:.1f}]"
        for e in ranking
    )
    caption = "Points are means over seeds, bars their 95% intervals. Bars that overlap may still belong to a sure "
    caption += "difference: groups compare the systems sentence by sentence."
    return Figure("ranking-figure", "How sure the ranking is", caption, alternative, plot)


def learning_curves(experiment: Experiment, trials: list[StudyTrial], ranking: list[dict[str, Any]]) -> Figure:
    """The metric of every trial over its epochs, or its steps with `report_steps`, and the rungs that could stop it."""
    metric, colours = METRIC_NAMES[experiment.search.metric], colours_of(ranking)
    unit = experiment.training.unit
    plot = _empty_plot(unit, metric, legend=True)
    for trial in sorted(trials, key=lambda trial: trial.number in colours):  # the coloured ones on top
        if not trial.scores:
            continue
        plot.add_scatter(
            x=list(trial.scores),
            y=list(trial.scores.values()),
            mode="lines+markers",
            line={"color": colours.get(trial.number, GREY), "width": 2.5 if trial.number in colours else 1.2},
            marker={"size": 6 if trial.number in colours else 4},
            name=f"trial {trial.number}",
            showlegend=trial.number in colours,
            hovertemplate=f"{unit} %{{x}}: %{{y:.2f}}<extra>trial {trial.number}, {trial.outcome}</extra>",
        )
    for rung in experiment.rungs:
        plot.add_vline(x=rung, line={"dash": "dot", "color": INK, "width": 1}, annotation_text="rung")
    if unit == "epoch":
        _mark_epochs(plot, experiment.training.epochs)
    stopped = sum(trial.outcome == "stopped" for trial in trials)
    caption = (
        f"{len(trials)} trials, of which {count(stopped, 'was', 'were')} stopped at a rung; the finalists in colour."
    )
    ends = [(t.number, t.epoch, t.scores[t.epoch]) for t in trials if t.scores]
    alternative = f"{metric} at the last {unit}: " + "; ".join(
        f"trial {number} {score:.2f} after {unit} {epoch}" for number, epoch, score in ends
    )
    return Figure("learning-curves", "How the trials learnt", caption, alternative, plot)


def loss_figure(entry: dict[str, Any], reports: Reports, finals: Reports) -> Figure:
    """Train and valid loss of the best configuration, one pair of lines a seed."""
    if entry["final_trials"]:
        runs = [[line for line in finals if line["trial"] == number] for number in entry["final_trials"]]
    else:
        runs = [[line for line in reports if line["trial"] == entry["trial"]]]
    plot = _empty_plot("epoch", "loss per token (nats)", legend=True)
    for seed, run in zip(entry["seeds"], runs, strict=True):
        epochs = [line["epoch"] for line in run]
        for key, colour, dash in (("train_loss", COLOURS[0], "solid"), ("valid_loss", COLOURS[1], "dash")):
            plot.add_scatter(
                x=epochs,
                y=[line[key] for line in run],
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                name=key.replace("_", " "),
                legendgroup=key,
                showlegend=seed == entry["seeds"][0],
                hovertemplate=f"epoch %{{x:.3g}}: %{{y:.3f}}<extra>{key.replace('_', ' ')}, seed {seed}</extra>",
            )
    _mark_epochs(plot, int(runs[0][-1]["epoch"]))
    last = runs[0][-1]
    losses = f"train loss {last['train_loss']:.3f}, valid loss {last['valid_loss']:.3f}"
    caption = f"Trial {entry['trial']}, {count(len(runs), 'seed', 'seeds')}; at the end {losses}. Both without label "
    caption += "smoothing; train loss is taken with dropout, over the epoch."
    return Figure("loss-figure", f"Loss of the best model, trial {entry['trial']}", caption, losses, plot)


def progress_figure(experiment: Experiment, reports: Reports) -> Figure:
    """The best score that any trial had shown, after so many epochs of training."""
    metric = experiment.search.metric
    best_of = max if experiment.search.direction == "maximize" else min
    best = list(accumulate((line[metric] for line in reports), best_of))
    trained = _epochs_trained(reports)
    plot = _empty_plot("epochs trained, over all trials", f"best {METRIC_NAMES[metric]} so far")
    plot.add_scatter(
        x=trained,
        y=best,
        mode="lines",
        line={"color": COLOURS[0], "shape": "hv"},
        hovertemplate="after %{x:.4g} epochs: %{y:.2f}<extra></extra>",
    )
    first = trained[best.index(best[-1])]
    caption = f"The best score, {best[-1]:.2f}, was first reached after {plain(first)} of {plain(trained[-1])} epochs. "
    caption += "A line that still climbs at its end asks for more trials, or more epochs."
    return Figure("progress-figure", "What the search found, and when", caption, caption, plot)


def setting_figures(experiment: Experiment, trials: list[StudyTrial]) -> list[Figure]:
    """For each hyperparameter of the space, every trial's last score over its value."""
    metric = METRIC_NAMES[experiment.search.metric]
    figures = []
    for path, domain in experiment.space.domains.items():
        name = short_name(path)
        plot = _empty_plot(name, metric, height=230)
        drawn = [trial for trial in trials if trial.scores and path in trial.params]
        for outcome, symbol, colour in (("completed", "circle", COLOURS[0]), ("stopped", "circle-open", GREY)):
            chosen = [t for t in drawn if (t.outcome == "completed") == (outcome == "completed")]
            plot.add_scatter(
                x=[short_value(t.params[path]) if domain.values else t.params[path] for t in chosen],
                y=[t.scores[t.epoch] for t in chosen],
                mode="markers",
                marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.5, "color": colour}},
                text=[f"trial {t.number}, epoch {plain(t.epochs)}" for t in chosen],
                hovertemplate=f"%{{text}}<br>{name} %{{x}}: %{{y:.2f}}<extra></extra>",
            )
        if domain.values:
            order = [short_value(value) for value in domain.values]
            plot.update_xaxes(type="category", categoryorder="array", categoryarray=order)
        elif "log" in (domain.distribution or ""):
            plot.update_xaxes(type="log", dtick="D2", tickformat="~r")
        by_value: dict[str, list[float]] = defaultdict(list)
        for trial in drawn:
            by_value[short_value(trial.params[path])].append(trial.scores[trial.epoch])
        alternative = f"{metric} by {name}: " + "; ".join(
            f"{value}: {', '.join(f'{score:.2f}' for score in scores)}" for value, scores in by_value.items()
        )
        figures.append(Figure(f"setting-{path.replace('.', '-')}", name, "", alternative, plot))
    return figures


def _epochs_trained(reports: Reports) -> list[float]:
    """Epochs of all trials together, after each report."""
    at: dict[int, float] = defaultdict(float)  # trial -> its epoch
    steps = []
    for line in reports:
        steps.append(line["epoch"] - at[line["trial"]])
        at[line["trial"]] = line["epoch"]
    return list(accumulate(steps))


def _mark_epochs(plot: go.Figure, epochs: int) -> None:
    """Ticks at whole epochs."""
    plot.update_xaxes(dtick=max(1, epochs // 10))


def _empty_plot(x: str, y: str, height: int = 360, legend: bool = False) -> go.Figure:
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
