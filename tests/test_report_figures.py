"""What the figures of the report draw and say, against values computed here from the trials, lines and entries."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from as_plotly import as_plotly
from boards import TEST_BLEU, entry
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from reports import line_of

from search.effects.analysis import analyse
from search.effects.observing import observe
from search.record.attributes import Attributes
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.explaining import Explanation, explain
from search.report.figures.coordinates import parallel_coordinates
from search.report.figures.figure import COLOURS, GREY, SHADES, Figure
from search.report.figures.ranking import front_figure, ranking_figure
from search.report.figures.training import curves_figure, learning_curves, progress_figure
from search.settings.experiment import Experiment
from search.translation.problem import TRANSLATION
from trainables.base.outcomes import Outcome

assert TRANSLATION.curves
LOSSES = TRANSLATION.curves
BOTH = pytest.mark.parametrize("metric", ["valid_bleu", "valid_loss", "valid_nll_per_char"])
SPACE: dict[str, dict[str, Any]] = {
    "model.num_heads": {"values": [2, 4, 8]},
    "model.dropout": {"values": [0.0, 0.1, 0.2]},
    "training.learning_rate": {"min": 0.001, "max": 0.016, "distribution": "log_uniform_values"},
}
RATES = (0.001, 0.002, 0.004, 0.008, 0.016)


def experiment_of(metric: str, **changes: Any) -> Experiment:
    search = {"metric": metric, **changes.pop("search", {})}
    return Experiment.model_validate({"name": "demo", "training": {"epochs": 4}, "search": search, **changes})


def is_lower_better(metric: str) -> bool:
    return metric != "valid_bleu"


def score(metric: str, merit: float) -> float:
    """The score of a model that is worth so much, from 0 to 100."""
    return 9 - merit / 20 if is_lower_better(metric) else merit


def ended(metric: str, merits: list[float], params: list[dict[str, Any]]) -> list[StudyTrial]:
    """Trials that came to the end at epoch 4; they were better in between."""
    trials = []
    for number, (merit, values) in enumerate(zip(merits, params, strict=True)):
        scores = {epoch: score(metric, worth) for epoch, worth in ((1, merit / 2), (2, merit + 5), (4, merit))}
        trials.append(
            StudyTrial(number, number, values, TrialState.COMPLETE, scores, Attributes(Outcome.COMPLETED), scores[4])
        )
    return trials


def grid(metric: str) -> tuple[Experiment, list[StudyTrial]]:
    """Eight heads make the best trials, whatever their dropout; strong dropout the worst, whatever their heads."""
    rng = np.random.default_rng(0)
    params = [dict(zip(SPACE, values, strict=True)) for values in product((2, 4, 8), (0.0, 0.1, 0.2), RATES)]
    merits = [
        50 + 10 * (p["model.num_heads"] == 8) - 20 * (p["model.dropout"] == 0.2) + float(rng.normal(0, 1))
        for p in params
    ]
    return experiment_of(metric, space=SPACE), ended(metric, merits, params)


@cache
def explained(metric: str) -> tuple[Explanation, dict[str, Figure]]:
    experiment, trials = grid(metric)
    found = explain(experiment, trials, [], [])
    assert found is not None
    return found, {figure.name: figure for figure in found.figures}


@BOTH
def test_what_matters_is_what_sets_the_best_trials_apart(metric: str) -> None:
    """The best, not the worst, where the metric is a loss as well."""
    shares = {}
    for method in as_plotly(explained(metric)[1]["importance-figure"]).data:
        shares[method.name] = dict(zip(method.y, method.x, strict=True))
        assert sum(method.x) == pytest.approx(1)
    assert shares["PED-ANOVA"]["num_heads"] > 2 * shares["PED-ANOVA"]["dropout"], "it tells the best from all"
    assert shares["fANOVA"]["dropout"] > 2 * shares["fANOVA"]["num_heads"], "it moves scores most"
    alternative = explained(metric)[1]["importance-figure"].alternative
    for name in ("num_heads", "dropout", "learning_rate"):
        told = f"{name}: fANOVA {shares['fANOVA'][name]:.0%}, PED-ANOVA {shares['PED-ANOVA'][name]:.0%}"
        assert told in alternative.split("; ")


def final_scores(trials: list[StudyTrial]) -> dict[int, float]:
    return {trial.number: trial.scores[4] for trial in trials}


@BOTH
def test_effects_are_drawn_as_differences_of_the_metric_itself(metric: str) -> None:
    """A loss that falls is a step below zero; the scores are those of the last epoch, not of the best."""
    _, trials = grid(metric)
    found, figures = explained(metric)
    final = final_scores(trials)

    def mean(path: str, value: float) -> float:
        return float(np.mean([final[t.number] for t in trials if t.params[path] == value]))

    rises = {
        "each doubling of num_heads": (mean("model.num_heads", 8) - mean("model.num_heads", 2)) / 2,
        "each 0.1 more of dropout": (mean("model.dropout", 0.2) - mean("model.dropout", 0.0)) / 2,
        "each doubling of learning_rate": np.polyfit(
            [np.log2(float(str(t.params["training.learning_rate"]))) for t in trials], list(final.values()), 1
        )[0],
    }
    drawn = {bar.y[0]: bar for bar in as_plotly(figures["effects-figure"]).data}
    assert list(drawn) == sorted(rises, key=lambda label: abs(rises[label])), "the largest on top"
    for label, rise in rises.items():
        assert drawn[label].x[0] == pytest.approx(rise)
        clear = abs(rise) > drawn[label].error_x.array[0]
        assert drawn[label].marker.color == (COLOURS[0] if clear else GREY)
        told = f"{label} {'+' if rise > 0 else '−'}{abs(rise):.{4 if is_lower_better(metric) else 2}f}"
        assert told in figures["effects-figure"].alternative
    assert (drawn["each 0.1 more of dropout"].x[0] < 0) != is_lower_better(metric)
    unit = {"valid_bleu": "BLEU", "valid_loss": "loss per token", "valid_nll_per_char": "loss per character"}[metric]
    assert f" {unit}." in found.effects[0] and found.effects[0].startswith("Each 0.1 more of dropout: ")

    for figure, (path, values) in zip(found.slices, ((p, d.get("values")) for p, d in SPACE.items()), strict=True):
        measured, means = as_plotly(figure).data
        cells = [f"{t.params[path]:g}" if values else t.params[path] for t in trials]
        assert list(zip(measured.x, measured.y, strict=True)) == list(zip(cells, final.values(), strict=True))
        if values:
            assert list(means.x) == [f"{value:g}" for value in values]
            assert list(means.y) == pytest.approx([mean(path, value) for value in values])


def test_settings_that_changed_while_models_trained_are_not_explained() -> None:
    _, trials = grid("valid_bleu")
    space = {path: domain for path, domain in SPACE.items() if path != "model.num_heads"}  # that shapes the weights
    for trial in trials:
        del trial.params["model.num_heads"]
    assert explain(experiment_of("valid_bleu", space=space), trials, [], []) is not None
    assert explain(experiment_of("valid_bleu", space=space, search={"scheduler": "pbt"}), trials, [], []) is None


def split(trace: Any) -> list[list[float]]:
    """The lines that one trace draws, with gaps between."""
    parts: list[list[float]] = [[]]
    for value in trace.y:
        if value is None:
            parts.append([])
        else:
            parts[-1].append(value)
    return parts


@BOTH
def test_lines_of_trials_rise_from_the_lowest_to_the_highest_score(metric: str) -> None:
    """The better a trial the higher it lies on the others, and the darker; the words name the best five."""
    experiment, trials = grid(metric)
    seen = observe(experiment, trials, [], [])
    assert seen is not None
    found = analyse(experiment.space, seen)
    final = final_scores(trials)
    best = sorted(final, key=lambda number: final[number], reverse=not is_lower_better(metric))
    ranking = [entry(1, best[3], 30.0, 1, {}), entry(2, best[-1], 20.0, 2, {})]
    figure = parallel_coordinates(experiment, trials, found, ranking)
    curves = [trace for trace in as_plotly(figure).data if trace.mode == "lines"]
    lines = [(trace.line, part) for trace in curves for part in split(trace)]
    low, high = min(final.values()), max(final.values())
    merit = [(part[-1] if not is_lower_better(metric) else 1 - part[-1]) for _, part in lines]
    others = [line for line, _ in lines if line.color in SHADES]
    assert [SHADES.index(line.color) for line in others] == sorted(SHADES.index(line.color) for line in others)
    assert merit[: len(others)] == sorted(merit[: len(others)]), "the better a trial, the darker, and on top"
    assert [(line.color, line.width) for line, _ in lines[len(others) :]] == [(COLOURS[1], 3), (COLOURS[0], 3)]
    assert {line.width for line in others} == {1.3} and len(lines) == len(trials)
    (marks,) = [trace for trace in as_plotly(figure).data if trace.mode == "markers"]
    assert [text.split(":")[0] for text in marks.text] == [f"trial {number}" for number in reversed(best)]
    by_end = {round(part[-1], 9): part for _, part in lines}
    for height, number in zip(marks.y, reversed(best), strict=True):
        assert height == pytest.approx((final[number] - low) / (high - low))
        part = by_end[round(height, 9)]
        places = [trials[number].params["model.num_heads"], trials[number].params["model.dropout"]]
        spots = [(2, 4, 8).index(places[0]) / 2, (0.0, 0.1, 0.2).index(places[1]) / 2]
        assert list(part[:2]) == pytest.approx(spots, abs=0.026), "those of one value side by side"
    named = [told.split(",")[0].split(": ")[-1] for told in figure.alternative.split("; ")]
    assert named == [f"trial {number}" for number in best[:5]]


CURVES = {0: [10.0, 40.0, 30.0], 1: [50.0, 20.0], 2: [5.0, 35.0, 60.0, 55.0]}  # merits, by epoch
ORDER = [0, 1, 0, 2, 2, 1, 2, 0, 2]  # whose report came when


def reports_of(metric: str, epoch: float = 1) -> list[JournalLine]:
    """The lines of a journal, trials in turns, of so long a stretch each; other metrics go another way."""
    place = dict.fromkeys(CURVES, 0)
    lines = []
    for number in ORDER:
        merit = CURVES[number][place[number]]
        place[number] += 1
        other = {"valid_bleu": merit, "valid_loss": merit / 7, "valid_nll_per_char": merit / 9}
        lines.append(line_of(number, place[number] * epoch, **{**other, metric: score(metric, merit)}))
    return lines


@BOTH
@pytest.mark.parametrize("epoch", [1, 0.5])
def test_the_best_so_far_is_that_of_all_reports_so_far(metric: str, epoch: float) -> None:
    figure = progress_figure(experiment_of(metric, space=SPACE), reports_of(metric, epoch), [])
    (line,) = as_plotly(figure).data
    merits = [10.0, 50.0, 50.0, 50.0, 50.0, 50.0, 60.0, 60.0, 60.0]
    assert list(line.y) == pytest.approx([score(metric, merit) for merit in merits])
    assert list(line.x) == pytest.approx([epoch * n for n in range(1, 10)])
    assert as_plotly(figure).layout.yaxis.title.text.startswith("best valid ")
    best = TRANSLATION.metrics[metric].show(score(metric, 60))
    assert f"The best score, {best}, was first reached after {7 * epoch:g} of {9 * epoch:g}" in figure.caption
    assert not as_plotly(figure).layout.shapes


def test_the_budget_is_a_line_where_its_epochs_end() -> None:
    experiment = experiment_of("valid_loss", space=SPACE, search={"budget": {"epochs": 40}})
    figure = progress_figure(experiment, reports_of("valid_loss"), ["9 of 40 epochs (22%)"])
    assert [shape.x0 for shape in as_plotly(figure).layout.shapes] == [40]
    assert figure.caption.endswith("earlier studies: 9 of 40 epochs (22%).")


@BOTH
def test_learning_curves_are_the_scores_of_each_trial(metric: str) -> None:
    outcomes = {0: "completed", 1: "stopped", 2: "completed", 3: "diverged"}
    trials = [
        StudyTrial(
            number,
            number,
            {},
            TrialState.COMPLETE,
            {epoch: score(metric, merit) for epoch, merit in enumerate(CURVES.get(number, []), 1)},
            Attributes(Outcome(outcome)),
        )
        for number, outcome in outcomes.items()
    ]
    experiment = experiment_of(metric, space=SPACE, search={"scheduler": {"rungs": [1, 2]}})
    figure = learning_curves(experiment, trials, [entry(1, 0, 20.0, 1, {}), entry(2, 7, 19.0, 1, {})])
    others, best = as_plotly(figure).data
    assert (others.name, best.name) == ("other trials", "trial 0"), "finalists on top; one without a score has no line"
    assert (others.line.color, best.line.color) == (GREY, COLOURS[0])
    drawn = dict(zip((1, 2, 0), [*split(others), list(best.y)], strict=True))
    for number, merits in CURVES.items():
        assert drawn[number] == pytest.approx([score(metric, merit) for merit in merits])
    assert list(best.x) == [1, 2, 3] and list(others.x) == [1, 2, None, 1, 2, 3, 4]
    assert others.text[0] == "trial 1, stopped" and others.text[-1] == "trial 2, completed"
    assert [shape.x0 for shape in as_plotly(figure).layout.shapes] == [1, 2]
    assert "4 trials, of which 1 was stopped" in figure.caption
    last = {0: (30, 3), 1: (20, 2), 2: (55, 4)}
    told = [f"trial {n} {score(metric, merit):.2f} after epoch {epoch}" for n, (merit, epoch) in last.items()]
    assert figure.alternative.endswith("; ".join(told))


@pytest.mark.parametrize("retrained", [True, False])
def test_losses_are_those_of_the_best_configuration_seed_by_seed(retrained: bool) -> None:
    """Trial 1 of the search and finals 3 and 0 of it; trial 3 and the other finals are of others."""

    def line(trial: int, epoch: int, shift: float) -> JournalLine:
        return line_of(trial, epoch, train_loss=trial + 1 / epoch, valid_loss=trial + shift / epoch)

    reports, finals = ([line(n, e, shift) for e in (1, 2) for n in (2, 0, 3, 1)] for shift in (2, 3))
    best = replace(entry(1, 1, 20.0, 1, {}), seeds=[5, 6] if retrained else [1])
    best = replace(best, final_trials=[3, 0] if retrained else [])
    figure = curves_figure(LOSSES, best, reports, finals)
    drawn = {}
    for curve in as_plotly(figure).data:
        assert list(curve.x) == [1, 2]
        assert curve.line.color == COLOURS[curve.name == "valid loss"]
        drawn[curve.hovertemplate.split("<extra>")[1].removesuffix("</extra>")] = (list(curve.y), curve.showlegend)
    if retrained:
        assert drawn == {
            "train loss, seed 5": ([4.0, 3.5], True),
            "valid loss, seed 5": ([6.0, 4.5], True),
            "train loss, seed 6": ([1.0, 0.5], False),
            "valid loss, seed 6": ([3.0, 1.5], False),
        }
        assert figure.caption.startswith("Trial 1, 2 seeds; at the end train loss 3.500, valid loss 4.500.")
    else:
        assert drawn == {"train loss, seed 1": ([2.0, 1.5], True), "valid loss, seed 1": ([3.0, 2.0], True)}
        assert figure.caption.startswith("Trial 1, 1 seed; at the end train loss 1.500, valid loss 2.000.")


def test_intervals_of_the_ranking_are_those_of_the_leaderboard() -> None:
    ranking = [entry(place, trial, 30.0 - place, 1, {}) for place, trial in enumerate((4, 0, 9, 2, 7, 5), 1)]
    figure = ranking_figure(ranking, TEST_BLEU)
    drawn = list(reversed(as_plotly(figure).data))
    for place, (point, line) in enumerate(zip(drawn, ranking, strict=True)):
        low, high = line.score_ci
        assert (point.y[0], point.x[0]) == (f"trial {line.trial}", line.score)
        assert point.x[0] - point.error_x.arrayminus[0] == pytest.approx(low)
        assert point.x[0] + point.error_x.array[0] == pytest.approx(high)
        assert point.marker.color == (*COLOURS, GREY)[place]
    assert figure.alternative.startswith("trial 4 29.00 [27.5, 30.4]; trial 0 28.00 [26.5, 29.4]; ")


SYSTEMS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=7)


@given(SYSTEMS)
@settings(max_examples=25)
def test_the_front_is_of_those_that_none_is_as_good_as_and_better(systems: list[tuple[int, int]]) -> None:
    """Among systems of some equal sizes and scores, by a look at all pairs."""
    ranking = []
    for number, (bleu, size) in enumerate(sorted(systems, key=lambda system: -system[0])):
        beaten = any(b >= bleu and s <= size and (b, s) != (bleu, size) for b, s in systems)
        line = entry(number + 1, 10 + number, bleu, 1, {})
        ranking.append(replace(line, num_parameters=1_000_000 * size, pareto=not beaten))
    figure = front_figure(ranking, TEST_BLEU)
    front, *points = as_plotly(figure).data
    on_front = {(line.num_parameters, line.score) for line in ranking if line.pareto}
    assert set(zip(front.x, front.y, strict=True)) == on_front and list(front.x) == sorted(front.x)
    assert list(front.y) == sorted(front.y), "larger ones on it are better"
    for point, line in zip(points, ranking, strict=True):
        assert (point.x[0], point.y[0], point.text[0]) == (
            line.num_parameters,
            line.score,
            str(line.trial),
        )
    named = figure.caption.rpartition(": ")[2].removesuffix(".").split(", ")
    assert sorted(named) == sorted(str(line.trial) for line in ranking if line.pareto)
    assert f"trial 10 {ranking[0].num_parameters:,} parameters, BLEU {ranking[0].score:.2f}" in figure.alternative
