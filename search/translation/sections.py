"""Sections of the report for translation: other scores, samples, attention, the corpus."""

from search.finals.board import Leaderboard, LeaderboardEntry
from search.finals.stages import TestMetric
from search.report.figures.figure import colours_of
from search.settings.experiment import Experiment
from search.settings.wording import plain
from search.translation.attention_figures import AttendedSentence, attention_figure
from search.translation.corpus_facts import CorpusFacts
from search.translation.final_metrics import FinalMetrics
from search.translation.length_figure import length_figure
from search.translation.sentences import Sentences
from search.translation.systems import Systems
from search.translation.templates import OWN
from trainables.base.translator_config import as_translator
from trainables.data.reading.text import Split


def write_sections(
    sentences: Sentences, test: Split, board: Leaderboard, experiment: Experiment, systems: Systems
) -> str:
    """The sections as HTML. best/ of the run must exist."""
    attended = systems.attended([sample.source for sample in sentences.samples], experiment)
    return render(board, experiment, sentences, attended, systems.facts(test, experiment))


def render(
    board: Leaderboard,
    experiment: Experiment,
    sentences: Sentences,
    attended: list[AttendedSentence],
    corpus: CorpusFacts,
) -> str:
    """The sections: samples, what the best model attends to if that is shown, and facts about the corpus."""
    metrics = FinalMetrics(experiment)
    by, *others = (metrics.test_metric(score) for score in metrics.scores)
    return OWN.get_template("sections.html.jinja").render(
        board=board,
        colours=colours_of(board.ranking),
        data=as_translator(experiment.trial).data,
        by=by,
        others=[other for other in others if other.name in board.ranking[0].figures],
        beside=beside,
        titles={name: metrics[name].title for name in metrics.names},
        run_dir=experiment.run_dir,
        sentences=sentences,
        attended=[
            (sentence, [attention_figure(kind, f"attention-{number}-{kind.key}") for kind in sentence.kinds])
            for number, sentence in enumerate(attended, 1)
        ],
        corpus=corpus,
        lengths=length_figure(corpus),
        plain=plain,
    )


def beside(entry: LeaderboardEntry, other: TestMetric) -> str:
    """A score that is not that of the ranking, with its interval if there is one: 51.2 (49.0–53.1)."""
    digits = max(0, other.metric.digits - 1)
    value, interval = entry.figures[other.name], entry.intervals.get(other.name)
    if value is None or interval is None:
        return "–" if value is None else f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
