"""Figures of hyperparameters one by one: the scores at each value, their effects, and their importance."""

from search.effects.analysis import Analysis
from search.effects.importance import Importance
from search.effects.sentences import signed
from search.record.trial import StudyTrial
from search.report.figures.coordinates import kinds_of
from search.report.figures.figure import COLOURS, GREY, Figure, empty_plot
from search.settings.experiment import Experiment
from search.settings.wording import count, short_name, short_value


def slices(experiment: Experiment, trials: list[StudyTrial], found: Analysis) -> list[Figure]:
    """For each hyperparameter, the comparable scores of all trials over its values, and the mean at each value."""
    metric, unit = f"{experiment.search.compared_by.title} {found.stage}", experiment.training.unit
    means = {effect.path: effect.means for effect in found.effects}
    figures = []
    for path, domain in experiment.space.domains.items():
        name = short_name(path)
        plot = empty_plot(name, metric, height=270, legend=True)
        drawn = [trial for trial in trials if trial.number in found.scores and path in trial.params]
        for kind in kinds_of(found):
            chosen = [trial for trial in drawn if trial.number in kind.trials]
            colour = COLOURS[0] if kind.symbol == "circle" else GREY
            plot.add(
                x=[short_value(t.params[path]) if domain.values else t.params[path] for t in chosen],
                y=[found.scores[t.number].value for t in chosen],
                mode="markers",
                name=kind.name.split()[0],  # the axis says where
                marker={"symbol": kind.symbol, "size": 8, "color": colour, "line": {"width": 1.5, "color": colour}},
                text=[str(t.number) for t in chosen],
                hovertemplate=f"trial %{{text}}: %{{y:.2f}}, {kind.name}<br>{name} %{{x}}<extra></extra>",
            )
        mean = [level for level in means.get(path, []) if level.needed is None]
        unknown = [level for level in means.get(path, []) if level.needed is not None]
        plot.add(
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
            plot.axis(
                "x", type="category", categoryorder="array", categoryarray=[short_value(v) for v in domain.values]
            )
        elif "log" in (domain.distribution or ""):
            plot.axis("x", type="log", dtick="D2", tickformat="~r")
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
        plot.add(
            x=[each.size],
            y=[label],
            error_x={"type": "data", "array": [each.margin], "color": colour},
            mode="markers",
            marker={"size": 11, "color": colour},
            hovertemplate=f"{signed(each.size, unit)} ± {each.margin:.3g}<extra>{label}</extra>",
        )
    plot.upright(0)
    plot.axis("y", type="category")
    alternative = "; ".join(f"{label} {signed(each.size, unit)} ± {each.margin:.3g}" for label, each in rows)
    caption = "The effect of a step while the other settings stay the same, with 95% intervals; grey: not significant."
    if wide := [short_name(effect.path) for effect in found.effects if effect.verdict == "wide"]:
        caption += f" Not drawn, as these trials cannot tell: {', '.join(wide)}."
    return Figure("effects-figure", "Size of the effects", caption, alternative, plot)


def importance_figure(importances: list[Importance], caption: str) -> Figure:
    """Both measures of importance of each hyperparameter, side by side."""
    plot = empty_plot("share of importance", "", height=110 + 44 * len(importances), legend=True)
    names = [short_name(each.path) for each in reversed(importances)]
    for method, colour in (("PED-ANOVA", COLOURS[1]), ("fANOVA", COLOURS[0])):
        shares = [each.fanova if method == "fANOVA" else each.ped_anova for each in reversed(importances)]
        plot.add(
            "bar",
            x=shares,
            y=names,
            orientation="h",
            name=method,
            marker={"color": colour},
            hovertemplate=f"%{{x:.0%}}<extra>{method}</extra>",
        )
    plot.layout.update(barmode="group", bargap=0.3)
    plot.layout["legend"]["traceorder"] = "reversed"
    plot.axis("x", tickformat=".0%", rangemode="tozero")
    plot.axis("y", type="category")
    alternative = "; ".join(
        f"{short_name(each.path)}: fANOVA {'unknown' if each.fanova is None else format(each.fanova, '.0%')}, "
        f"PED-ANOVA {each.ped_anova:.0%}"
        for each in importances
    )
    return Figure("importance-figure", "Which settings matter", caption, alternative, plot)
