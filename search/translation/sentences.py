"""Sentences of the test data for the report: some drawn at random, the worst, and scores by length."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from search.finals.leaderboard import Entry
from search.finals.protocol import Finals
from search.finals.stages import TestMetric
from search.settings.experiment import Experiment
from trainables.data.reading.text import Split

SAMPLES, WORST = 12, 6  # sentences that the report shows
SEED = 0  # of the drawing
SYSTEMS = 5  # of which scores by length are shown
BUCKETS, LEAST = 4, 10  # of lengths, and the sentences that each needs
JUDGE = "test_chrf"  # the metric of single sentences: the BLEU of one is mostly 0


@dataclass(frozen=True)
class Sample:
    """A test sentence and its translations by the systems."""

    source: str
    reference: str
    translations: dict[str, str]  # "trial 3" -> its translation; the best system first
    number: int = 0  # of the sentence in the test data, from 1
    score: float | None = None  # of the first translation


@dataclass(frozen=True)
class Bucket:
    """The sentences of some lengths, and the score of each system on them."""

    lengths: str
    sentences: int
    scores: list[float]


@dataclass(frozen=True)
class Sentences:
    """What the report shows of the test data."""

    samples: list[Sample]
    drawn: bool = False  # at random, of more
    worst: list[Sample] = field(default_factory=list)
    judge: TestMetric | None = None  # that says which are the worst
    unit: str = "words"
    by: TestMetric | None = None  # of the scores by length
    trials: list[int] = field(default_factory=list)  # the systems of these scores
    buckets: list[Bucket] = field(default_factory=list)


def study_sentences(
    finals: Finals, entries: list[Entry], tests: Mapping[str, Split], experiment: Experiment
) -> Sentences:
    """All of it. tests: as `finals` has opened them; the first one is shown."""
    test = tests["test"]
    metrics = {metric.name: metric for metric in finals.metrics(experiment)}
    judge, (by, *_) = metrics[JUDGE], metrics.values()
    if not by.name.startswith("test_"):  # a mean over tests, or another one
        by = judge
    (single, *_), *_ = finals.statistics(judge, entries[0], tests, experiment)
    shown = entries[:SYSTEMS]
    statistics = [[each[0] for each in finals.statistics(by, entry, tests, experiment)] for entry in shown]
    unit, lengths = measure(test.source)
    return Sentences(
        choose_samples(test, entries[:2]),
        len(test) > SAMPLES,
        worst_samples(test, entries[:2], judge.of_sums(single)),
        judge,
        unit,
        by,
        [entry.finalist.trial for entry in shown],
        score_by_length(lengths, statistics, by),
    )


def choose_samples(test: Split, entries: list[Entry]) -> list[Sample]:
    """Sentences drawn at random, in their order, with the translations of each system's first seed."""
    drawn = random.Random(SEED).sample(range(len(test)), min(SAMPLES, len(test)))
    return [_sample(test, entries, row) for row in sorted(drawn)]


def worst_samples(test: Split, entries: list[Entry], scores: np.ndarray) -> list[Sample]:
    """The sentences that the first system translates worst, by the scores of its first seed."""
    if len(scores) < len(test):
        return []
    worst = np.argsort(scores, kind="stable")[:WORST].tolist()
    return [_sample(test, entries, row, float(scores[row])) for row in worst]


def measure(source: Sequence[str]) -> tuple[str, np.ndarray]:
    """The unit of lengths, and the length of each sentence: in characters if words have no spaces between."""
    words = np.array([len(line.split()) for line in source])
    return ("words", words) if words.mean() >= 2 else ("characters", np.array([len(line) for line in source]))


def score_by_length(lengths: np.ndarray, statistics: list[list[np.ndarray]], by: TestMetric) -> list[Bucket]:
    """The scores in quarters of the lengths, means over seeds; none if there are too few sentences.

    statistics: of each system, for each seed, those of the sentences.
    """
    if len(lengths) < BUCKETS * LEAST:
        return []
    ends = np.unique(np.quantile(lengths, np.arange(1, BUCKETS + 1) / BUCKETS).astype(int))
    place = np.searchsorted(ends, lengths)
    found = []
    for number in np.unique(place):
        rows = place == number
        low, high = int(lengths[rows].min()), int(lengths[rows].max())
        scores = [fmean(float(by.of_sums(seed[rows].sum(axis=0))) for seed in system) for system in statistics]
        found.append(Bucket(f"{low}–{high}" if low < high else f"{low}", int(rows.sum()), scores))
    return found


def _sample(test: Split, entries: list[Entry], row: int, score: float | None = None) -> Sample:
    said = {f"trial {entry.finalist.trial}": entry.results[0].translations[row] for entry in entries}
    return Sample(test.source[row], test.target[row], said, row + 1, score)
