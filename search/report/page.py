"""report.html: the result, its significance, its basis and its cost, in one file that needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from search.effects.analysis import analyse
from search.effects.importance import importances
from search.effects.observing import observe
from search.effects.sentences import counted, disagreement, effect_sentences, interaction_sentences
from search.finals.board import Cost, Leaderboard, LeaderboardEntry
from search.finals.stages import TestMetric
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.figures.figure import Figure, colours_of
from search.report.figures.ranking import front_figure, ranking_figure
from search.report.figures.settings import effects_figure, importance_figure, parallel_coordinates, slices
from search.report.figures.training import curves_figure, learning_curves, progress_figure
from search.settings.experiment import Experiment
from search.settings.goals import PARAMETERS
from search.settings.wording import count, describe, duration, plain, short_name, short_value
from trainables.base.files import write_atomically
from trainables.base.metrics import Metric
from trainables.base.yaml_files import dump_yaml

TEMPLATES = Path(__file__).parent
PAGE = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Findings:
    """Everything that a search has found."""

    experiment: Experiment
    trials: list[StudyTrial]
    reports: list[JournalLine]  # the lines of trials.jsonl
    finals: list[JournalLine]  # the lines of finals.jsonl
    leaderboard: Leaderboard
    by: TestMetric  # of the ranking
    data: str  # a line about the data
    sections: str  # the sections of the problem, as HTML
    # When finalists were frozen, after which the test data could be read: the last one is for this ranking, the others
    # for the rankings before the search was extended.
    test_opened: list[str]
    spending: list[str]  # sentences about the budget; none without one
    planned: list[str]  # sentences on how far off the plan was; none without one


def write_report(file: Path, found: Findings) -> None:
    """Write the page as one file."""
    experiment, trials, leaderboard, finals = found.experiment, found.trials, found.leaderboard, found.finals
    ranking, metrics, by = leaderboard.ranking, experiment.search.metrics, found.by
    curves, goals = experiment.definition.curves, experiment.search.besides or (PARAMETERS,)
    page = PAGE.get_template("report.html.jinja").render(
        experiment=experiment,
        metric=experiment.search.compared_by,
        board=leaderboard,
        by=by,
        valid={name: metrics[name] for name in metrics if name in ranking[0].figures},
        sized=ranking[0].num_parameters is not None,
        note=by.note,
        data=found.data,
        answer=answer(leaderboard, by, metrics),
        colours=colours_of(ranking),
        ranked_by=titled(leaderboard, by, metrics),
        ranking=[ranking_figure(ranking, by)] if leaderboard.decided_by == by.name else [],
        fronts=[front_figure(ranking, by, name) for name in goals if len(ranking) > 1 and ranking[0].cost(name)],
        training_figures=[
            learning_curves(experiment, trials, ranking),
            *([curves_figure(curves, ranking[0], found.reports, finals)] if curves else []),
            progress_figure(experiment, found.reports, found.spending),
        ],
        explained=explain(experiment, trials, finals, ranking),
        paths=list(experiment.space.domains),
        trials=trials,
        sections=found.sections,
        final_epochs=sum({line.trial: line.report.epoch for line in finals}.values()),
        final_seconds=sum(line.report.device_seconds for line in finals),
        test_opened=found.test_opened,
        spending=found.spending,
        planned=found.planned,
        repeatable=experiment.search.deterministic or experiment.search.concurrency == 1,
        versions={name: version(name) for name in ("torch", "ray", "optuna", "sacrebleu", "sentencepiece")},
        yaml=dump_yaml(experiment),
        plotly=get_plotlyjs(),
        short_name=short_name,
        short_value=short_value,
        duration=duration,
        plain=plain,
        interval=partial(told_interval, by),
        signed=lambda difference, fewer=0: f"{difference:+.{max(0, by.metric.digits - fewer)}f}",
    )
    write_atomically(file, page)


def titled(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> str:
    """The title of the metric that decided the ranking."""
    return by.metric.title if leaderboard.decided_by == by.name else metrics[leaderboard.decided_by].title


def told_interval(by: TestMetric, entry: LeaderboardEntry) -> str:
    """An interval as text, such as 50.1–55.3."""
    return "–".join(_end(by, end) for end in entry.score_ci)


def _end(by: TestMetric, end: float) -> str:
    """The end of an interval, with one digit less than the score."""
    return f"{end:.{max(0, by.metric.digits - 1)}f}"


@dataclass(frozen=True)
class Explanation:
    """The effects of the settings, as sentences and figures."""

    basis: str  # a sentence on the scores that are used
    stage: str  # of the scores, such as "at epoch 4"
    counted: str  # a sentence on how many scores are forecasts
    effects: list[str]
    interactions: list[str]
    figures: list[Figure]
    slices: list[Figure]


def explain(
    experiment: Experiment, trials: list[StudyTrial], finals: list[JournalLine], ranking: list[LeaderboardEntry]
) -> Explanation | None:
    """Explain the effects of settings; None without a space, or if settings changed while models trained."""
    space = experiment.space
    if not space.domains or experiment.search.scheduler.breeds:
        return None
    seen = observe(experiment, trials, finals, ranking)
    if seen is None:
        return None
    found, unit = analyse(space, seen), experiment.search.compared_by.title.removeprefix("valid ")
    scores = found.scores
    sign = 1 if experiment.search.direction == "maximize" else -1
    params = {trial.number: trial.params for trial in trials}
    values = [score.value for score in scores.values()]
    important = importances(space, [params[number] for number in scores], sign * np.array(values))
    shown = [parallel_coordinates(experiment, trials, found, ranking)] if scores else []
    if any(effect.verdict != "wide" for effect in found.effects):
        shown.append(effects_figure(found, unit))
    if important:
        shown.append(importance_figure(important, f"{disagreement(important)} {counted(found)}"))
    return Explanation(
        seen.basis,
        seen.stage,
        counted(found),
        effect_sentences(found, unit),
        interaction_sentences(found, unit),
        shown,
        slices(experiment, trials, found),
    )


def answer(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> list[str]:
    """Three sentences: which model is best, by how much and how significantly, and at what cost.

    by: the metric of the ranking. metrics: those of the problem.
    """
    best, *others = leaderboard.ranking
    show = by.metric.show
    cost = leaderboard.search
    low, high = (_end(by, end) for end in best.score_ci)
    seeds = count(len(best.seeds), "seed", "seeds")
    if leaderboard.decided_by != by.name:
        return [_undecided(leaderboard, by, metrics), _spent(cost)]
    sentences = [
        f"The best of {count(cost.trials, 'configuration', 'configurations')} is trial {best.trial}{_setting(best)}: "
        f"{show(best.score)} {by.short} on the test data, 95% interval {low} to {high}, {seeds}{_size(best)}."
    ]
    equals = [entry for entry in others if entry.group == best.group]
    if not others:
        sentences.append("It is the only finalist, so its lead is unknown.")
    elif equals:
        names = ", ".join(f"{entry.trial} ({show(entry.score)})" for entry in equals)
        smallest = min((best, *equals), key=lambda entry: entry.num_parameters or 0)
        small = f"; the smallest among them is trial {smallest.trial}{_size(smallest, 'with ')}"
        sentences.append(
            f"These tests can't tell it apart from {'trial' if len(equals) == 1 else 'trials'} {names}"
            f"{small if best.num_parameters is not None else ''}."
        )
    else:
        second = others[0]
        lead = abs(best.score - second.score)
        chance = f"test {by.items} and seeds explains"
        if min(len(best.seeds), len(second.seeds)) == 1:
            chance = f"test {by.items} explains; what another seed would change is not known from one"
        sentences.append(
            f"It leads the next finalist, trial {second.trial}, by {show(lead)} {by.short}, more than chance among "
            f"{chance} (paired tests, 95%)."
        )
    return [*sentences, _spent(cost)]


def _setting(entry: LeaderboardEntry) -> str:
    return f" ({describe(entry.config)})" if entry.config else ""


def _size(entry: LeaderboardEntry, word: str = ", ") -> str:
    if entry.num_parameters is None:
        return ""
    unit = "" if word == "with " else " parameters"
    return f"{' ' if word == 'with ' else ''}{word}{entry.num_parameters / 1e6:.2f} million{unit}"


def _undecided(leaderboard: Leaderboard, by: TestMetric, metrics: Mapping[str, Metric]) -> str:
    """The sentence for a ranking that another metric decided."""
    best, name = leaderboard.ranking[0], leaderboard.decided_by
    trials = count(leaderboard.search.trials, "configuration", "configurations")
    loss, value = metrics[name], best.figures[name]
    assert value is not None, "models were ranked by it"
    return (
        f"{by.short} can't say which of {trials} is best. By {loss.title} it is trial {best.trial}"
        f"{_setting(best)} with {loss.show(value)}, and {by.metric.show(best.score)} {by.short} on the test data."
    )


def _spent(cost: Cost) -> str:
    share = cost.epochs_trained / cost.epochs_full
    return (
        f"The search trained {plain(cost.epochs_trained)} epochs, {share:.0%} of those that all trials would have had "
        f"without stopping: {duration(cost.gpu_seconds)} on its devices, {duration(cost.wall_seconds)} by the clock."
    )
