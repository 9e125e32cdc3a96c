"""Figures of training: learning curves, and the progress of the search."""

from collections import defaultdict
from itertools import accumulate

from search.finals.board import LeaderboardEntry
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.figures.figure import COLOURS, GREY, Figure, Plot, colours_of, empty_plot
from search.settings.experiment import Experiment
from search.settings.problem import Curves
from search.settings.wording import count, plain
from trainables.base.outcomes import Outcome


def learning_curves(experiment: Experiment, trials: list[StudyTrial], ranking: list[LeaderboardEntry]) -> Figure:
    """The metric of every trial over its epochs, or its steps with `report_steps`, and the rungs."""
    metric, colours = experiment.search.compared_by.title, colours_of(ranking)
    unit = experiment.training.unit
    plot = empty_plot(unit, metric, legend=True)
    others = [trial for trial in trials if trial.scores and trial.number not in colours]
    if others:
        x, y, text = _joined(others)
        plot.add(
            x=x,
            y=y,
            text=text,
            mode="lines+markers",
            line={"color": GREY, "width": 1.2},
            marker={"size": 4},
            name="other trials",
            hovertemplate=f"{unit} %{{x}}: %{{y:.2f}}<extra>%{{text}}</extra>",
        )
    for trial in trials:
        if trial.number in colours and trial.scores:
            plot.add(
                x=list(trial.scores),
                y=list(trial.scores.values()),
                mode="lines+markers",
                line={"color": colours[trial.number], "width": 2.5},
                marker={"size": 6},
                name=f"trial {trial.number}",
                hovertemplate=f"{unit} %{{x}}: %{{y:.2f}}<extra>trial {trial.number}, {trial.outcome}</extra>",
            )
    for rung in experiment.rungs:
        plot.upright(rung, "rung", dash="dot")
    if unit == "epoch":
        _mark_epochs(plot, experiment.training.epochs)
    stopped = sum(trial.outcome == Outcome.STOPPED for trial in trials)
    told = f"{count(len(trials), 'trial', 'trials')}, of which {count(stopped, 'was', 'were')} stopped at a rung"
    caption = f"{told}; the finalists in colour." if ranking else f"{told}."
    ends = [(t.number, t.progress, t.scores[t.progress]) for t in trials if t.scores]
    alternative = f"{metric} at the last {unit}: " + "; ".join(
        f"trial {number} {score:.2f} after {unit} {progress}" for number, progress, score in ends
    )
    return Figure("learning-curves", "How the trials learnt", caption, alternative, plot)


def _joined(trials: list[StudyTrial]) -> tuple[list[float | None], list[float | None], list[str | None]]:
    """The curves of many trials as one line with gaps, which a browser draws at once: x, y, text."""
    x, y, text = list[float | None](), list[float | None](), list[str | None]()
    for trial in trials:
        x += [*trial.scores, None]
        y += [*trial.scores.values(), None]
        text += [*[f"trial {trial.number}, {trial.outcome}"] * len(trial.scores), None]
    return x[:-1], y[:-1], text[:-1]


def curves_figure(
    curves: Curves, entry: LeaderboardEntry, reports: list[JournalLine], finals: list[JournalLine]
) -> Figure:
    """Figures from the reports of the best configuration, such as losses, with a line for each seed."""
    if entry.final_trials:
        runs = [[line.report for line in finals if line.trial == number] for number in entry.final_trials]
    else:
        runs = [[line.report for line in reports if line.trial == entry.trial]]
    plot = empty_plot("epoch", curves.title, legend=True)
    names = {key: key.replace("_", " ") for key in curves.figures}
    for seed, run in zip(entry.seeds, runs, strict=True):
        for place, (key, name) in enumerate(names.items()):
            plot.add(
                x=[report.epoch for report in run],
                y=[report.score(key) for report in run],
                mode="lines+markers",
                line={"color": COLOURS[place % len(COLOURS)], "dash": "dash" if place % 2 else "solid"},
                name=name,
                legendgroup=key,
                showlegend=seed == entry.seeds[0],
                hovertemplate=f"epoch %{{x:.3g}}: %{{y:.3f}}<extra>{name}, seed {seed}</extra>",
            )
    _mark_epochs(plot, int(runs[0][-1].epoch))
    last = ", ".join(f"{name} {runs[0][-1].score(key):.3f}" for key, name in names.items())
    caption = f"Trial {entry.trial}, {count(len(runs), 'seed', 'seeds')}; at the end {last}. {curves.note}"
    return Figure("loss-figure", f"How the best model learnt, trial {entry.trial}", caption, last, plot)


def progress_figure(experiment: Experiment, reports: list[JournalLine], spending: list[str]) -> Figure:
    """The best score of all trials over the epochs trained so far.

    spending: sentences about the budget; none without one.
    """
    metric, shown = experiment.search.metric, experiment.search.compared_by
    best_of = max if experiment.search.direction == "maximize" else min
    best = list(accumulate((line.report.score(metric) for line in reports), best_of))
    trained = _epochs_trained(reports)
    plot = empty_plot("epochs trained, over all trials", f"best {shown.title} so far")
    plot.add(
        x=trained,
        y=best,
        mode="lines",
        line={"color": COLOURS[0], "shape": "hv"},
        cliponaxis=False,  # the last step may be at the edge
        hovertemplate="after %{x:.4g} epochs: %{y:.2f}<extra></extra>",
    )
    first = trained[best.index(best[-1])]
    caption = f"The best score, {shown.show(best[-1])}, was first reached after {plain(first)} of {plain(trained[-1])} "
    caption += "epochs. If the line still rises at its end, more trials or more epochs may help."
    if limit := experiment.search.budget.epochs:
        plot.upright(limit, "budget", dash="dot")
    if spending:
        caption += f" Spent, including finals and earlier studies: {'; '.join(spending)}."
    return Figure("progress-figure", "What the search found, and when", caption, caption, plot)


def _epochs_trained(reports: list[JournalLine]) -> list[float]:
    """The sum of epochs of all trials, after each report."""
    at: dict[int, float] = defaultdict(float)  # trial -> epoch
    steps = []
    for line in reports:
        steps.append(line.report.epoch - at[line.trial])
        at[line.trial] = line.report.epoch
    return list(accumulate(steps))


def _mark_epochs(plot: Plot, epochs: float) -> None:
    """Ticks at whole epochs."""
    plot.axis("x", dtick=max(1, int(epochs // 10)))
