"""report.html: the answer, how sure it is, what it rests on and what it cost, in one file that needs no network."""

from dataclasses import dataclass
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
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.report.attention_figures import AttendedSentence, attention_figure
from search.report.corpus_facts import CorpusFacts
from search.report.figures.corpus import length_figure
from search.report.figures.figure import Figure, colours_of
from search.report.figures.ranking import pareto_figure, ranking_figure
from search.report.figures.settings import effects_figure, importance_figure, parallel_coordinates, slices
from search.report.figures.training import learning_curves, loss_figure, progress_figure
from search.settings.experiment import Experiment
from search.settings.wording import RANKED_BY, count, describe, duration, plain, short_name, short_value
from trainables.base.files import write_atomically
from trainables.base.metrics import METRICS
from trainables.base.yaml_files import dump_yaml

PAGE = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Sample:
    """A test sentence and what the systems made of it."""

    source: str
    reference: str
    translations: dict[str, str]  # "trial 3": its translation, the best system first


@dataclass(frozen=True)
class Findings:
    """All that a search has found."""

    experiment: Experiment
    trials: list[StudyTrial]
    reports: list[JournalLine]  # the lines of trials.jsonl
    finals: list[JournalLine]  # the lines of finals.jsonl
    leaderboard: Leaderboard
    samples: list[Sample]
    attended: list[AttendedSentence]  # test sentences with what the best model attends to in them
    corpus: CorpusFacts
    # When finalists were frozen, and the test split could be read from then on: the last time for this ranking, before
    # that for those of an extended search.
    test_opened: list[str]
    spending: list[str]  # sentences on the budget; none if there was none
    planned: list[str]  # on how far off the plan was; none without one


def write_report(file: Path, found: Findings) -> None:
    experiment, trials, leaderboard, finals = found.experiment, found.trials, found.leaderboard, found.finals
    ranking = leaderboard.ranking
    page = PAGE.get_template("report.html.jinja").render(
        experiment=experiment,
        metric=METRICS[experiment.search.metric].title,
        board=leaderboard,
        corpus_name=leaderboard.corpus.path.rstrip("/").rpartition("/")[2],
        answer=answer(leaderboard),
        colours=colours_of(ranking),
        ranked_by=RANKED_BY[leaderboard.decided_by],
        ranking=[ranking_figure(ranking)] if leaderboard.decided_by == "test_bleu" else [],
        pareto=[pareto_figure(ranking)] if len(ranking) > 1 else [],
        neural=ranking[0].test_neural is not None,
        training_figures=[
            learning_curves(experiment, trials, ranking),
            loss_figure(ranking[0], found.reports, finals),
            progress_figure(experiment, found.reports, found.spending),
        ],
        explained=explain(experiment, trials, finals, ranking),
        paths=list(experiment.space.domains),
        trials=trials,
        samples=found.samples,
        attended=[
            (sentence, [attention_figure(kind, f"attention-{number}-{kind.key}") for kind in sentence.kinds])
            for number, sentence in enumerate(found.attended, 1)
        ],
        corpus=found.corpus,
        lengths=length_figure(found.corpus),
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
    )
    write_atomically(file, page)


@dataclass(frozen=True)
class Explanation:
    """What the settings did: sentences and figures."""

    basis: str  # which scores they rest on
    stage: str  # that the numbers are of: "at epoch 4"
    counted: str  # how many scores are forecasts
    effects: list[str]
    interactions: list[str]
    figures: list[Figure]
    slices: list[Figure]


def explain(
    experiment: Experiment, trials: list[StudyTrial], finals: list[JournalLine], ranking: list[LeaderboardEntry]
) -> Explanation | None:
    """None where there is nothing to explain: no space, or settings that changed while models trained."""
    space = experiment.space
    if not space.domains or experiment.search.scheduler.breeds:
        return None
    seen = observe(experiment, trials, finals, ranking)
    if seen is None:
        return None
    found, unit = analyse(space, seen), METRICS[experiment.search.metric].title.removeprefix("valid ")
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


def answer(leaderboard: Leaderboard) -> list[str]:
    """Three sentences: what is best, by how much and how sure, at what cost."""
    best, *others = leaderboard.ranking
    cost = leaderboard.search
    low, high = best.test_bleu_ci
    seeds = count(len(best.seeds), "seed", "seeds")
    setting = f" ({describe(best.config)})" if best.config else ""
    if leaderboard.decided_by != "test_bleu":
        return [_undecided(leaderboard), _spent(cost)]
    sentences = [
        f"The best of {count(cost.trials, 'configuration', 'configurations')} is trial {best.trial}{setting}: "
        f"{best.test_bleu:.2f} BLEU on the test split, 95% interval {low:.1f} to {high:.1f}, {seeds}, "
        f"{best.num_parameters / 1e6:.2f} million parameters."
    ]
    equals = [entry for entry in others if entry.group == best.group]
    if not others:
        sentences.append("It is the only finalist, so nothing can be said of how far it leads.")
    elif equals:
        names = ", ".join(f"{entry.trial} ({entry.test_bleu:.2f})" for entry in equals)
        smallest = min((best, *equals), key=lambda entry: entry.num_parameters)
        sentences.append(
            f"These tests can't tell it apart from {'trial' if len(equals) == 1 else 'trials'} {names}; "
            f"the smallest among them is trial {smallest.trial} with {smallest.num_parameters / 1e6:.2f} million."
        )
    else:
        second = others[0]
        lead = best.test_bleu - second.test_bleu
        chance = "test sentences and seeds explains"
        if min(len(best.seeds), len(second.seeds)) == 1:
            chance = "test sentences explains; what another seed would change is not known from one"
        sentences.append(
            f"It leads the next finalist, trial {second.trial}, by {lead:.2f} BLEU, more than chance among {chance} "
            "(paired tests, 95%)."
        )
    return [*sentences, _spent(cost)]


def _undecided(leaderboard: Leaderboard) -> str:
    """For a ranking by loss."""
    best = leaderboard.ranking[0]
    setting = f" ({describe(best.config)})" if best.config else ""
    trials = count(leaderboard.search.trials, "configuration", "configurations")
    return (
        f"BLEU can't say which of {trials} is best. By validation loss per character it is trial {best.trial}"
        f"{setting} with {best.valid_nll_per_char:.4f} nats, and {best.test_bleu:.2f} BLEU on the test split."
    )


def _spent(cost: Cost) -> str:
    share = cost.epochs_trained / cost.epochs_full
    return (
        f"The search trained {plain(cost.epochs_trained)} epochs, {share:.0%} of what all trials to their end would "
        f"have taken: {duration(cost.gpu_seconds)} on its devices, {duration(cost.wall_seconds)} by the clock."
    )
