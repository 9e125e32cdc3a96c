"""The ranking by the score on the test data: leaderboard.json and leaderboard.csv."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from search.finals.board import Cost, DataSize, Leaderboard, LeaderboardEntry, Significance, flat_entry
from search.finals.choosing import Finalist
from search.finals.comparison import Comparison
from search.finals.compromises import choose, explain_choice, mark_front
from search.finals.deciding import decided_by
from search.finals.item_tests import RESAMPLES, SEED, SHUFFLES
from search.finals.significance import LEVEL, Evidence, Looks, weigh
from search.finals.stages import FinalModel, Statistics, Systems, TestMetric
from search.record.table import as_csv
from search.settings.goals import GoalsConfig
from trainables.base.files import write_atomically


@dataclass(frozen=True)
class Entry:
    """A finalist with its models and their results."""

    finalist: Finalist
    models: list[FinalModel]
    results: list[Any]  # one for each model; they are Tested

    @property
    def score(self) -> float:
        """The mean score of its models on the test data."""
        return fmean(result.score for result in self.results)

    @property
    def device_seconds(self) -> float:
        """Device seconds of one training."""
        return fmean(sum(line.report.device_seconds for line in model.lines) for model in self.models)

    def valid(self, figure: str) -> float:
        """The mean of a figure in the last reports of its models."""
        return fmean(model.valid[figure] for model in self.models)


def rank(entries: list[Entry], metric: TestMetric) -> list[Entry]:
    """The entries, the best first: by score, or by validation loss if the scores can't tell them apart."""
    comparable, instead = metric.metric.tells_apart([entry.score for entry in entries]), metric.metric.instead

    def key(entry: Entry) -> tuple[float, float]:
        return -metric.metric.worth(entry.score) if comparable else 0, entry.valid(instead) if instead else 0

    return sorted(entries, key=key)


def compare(ranked: list[Entry], statistics: Systems, metric: TestMetric, looks: Looks | None = None) -> Evidence:
    """Intervals, p-values and groups of ranked entries; statistics, looks: as in `significance.weigh`."""
    evidence = weigh(statistics, metric, looks)
    if metric.metric.tells_apart([entry.score for entry in ranked]):
        return evidence
    return replace(evidence, groups=[1] * len(ranked))


def compare_beside(statistics: Systems, metric: TestMetric, looks: Looks | None = None) -> Evidence | None:
    """Intervals, p-values and groups of systems in any order, by their places.

    None if there are no statistics of single items.
    """
    if any(len(test) == 1 for seeds in statistics for seed in seeds for test in seed):
        return None
    scores = [fmean(score_of(metric, seed) for seed in seeds) for seeds in statistics]
    order = sorted(range(len(statistics)), key=lambda place: -metric.metric.worth(scores[place]))
    if looks:
        looks = replace(looks, seeds=[[seeds[place] for place in order] for seeds in looks.seeds])
    evidence, places = weigh([statistics[place] for place in order], metric, looks), np.argsort(order)
    return replace(
        evidence,
        intervals=[evidence.intervals[place] for place in places],
        groups=[evidence.groups[place] for place in places],
        comparisons=[replace(pair, a=order[pair.a], b=order[pair.b]) for pair in evidence.comparisons],
        by_items={(order[a], order[b]): variance for (a, b), variance in evidence.by_items.items()},
    )


def score_of(metric: TestMetric, statistics: Statistics) -> float:
    """The score of a model."""
    return float(metric.of_sums(np.concatenate([test.sum(axis=0) for test in statistics])))


@dataclass(frozen=True)
class Ranking:
    """Ranked finalists, with everything that the leaderboard says about them."""

    experiment: str
    metric: TestMetric
    entries: list[Entry]  # the best first
    evidence: Evidence
    figures: list[dict[str, float | None]]  # other figures of each entry
    signatures: dict[str, str]
    goals: GoalsConfig
    untrained: Collection[int] = ()  # the trials of finalists that have learnt nothing
    beside: Mapping[str, Evidence] = field(default_factory=dict)  # by other metrics of the finals, by name
    outlook: Sequence[str] = ()  # sentences on finalists that were not told apart


def write_leaderboard(
    folder: Path,
    ranking: Ranking,
    cost: Cost,
    data: DataSize | None = None,
    notes: Sequence[str] = (),
) -> Leaderboard:
    """Rank the finalists, and write leaderboard.json and leaderboard.csv.

    notes: sentences on anything else.
    """
    entries, evidence, metric = ranking.entries, ranking.evidence, ranking.metric
    ranked = mark_front([_ranked(place, ranking) for place in range(len(entries))], metric, ranking.goals)
    trials, noise = [entry.finalist.trial for entry in entries], evidence.noise
    board = Leaderboard(
        experiment=ranking.experiment,
        metric=metric.name,
        corpus=data,
        signatures=ranking.signatures,
        search=cost,
        decided_by=decided_by(metric.name, metric.metric, [entry.score for entry in entries]),
        notes=[*notes, *explain_choice(ranked, metric, ranking.goals)],
        ranking=ranked,
        chosen=choose(ranked, metric, ranking.goals).trial,
        comparisons=_by_trials(evidence, trials),
        further={name: _by_trials(other, trials) for name, other in ranking.beside.items()},
        significance=Significance(
            level=LEVEL,
            resamples=RESAMPLES,
            shuffles=SHUFFLES,
            seed=SEED,
            std_of_seeds=math.sqrt(noise.variance) if noise.degrees else None,
            degrees_of_freedom=noise.degrees,
        ),
        outlook=list(ranking.outlook),
    )
    store_leaderboard(folder, board)
    return board


def store_leaderboard(folder: Path, board: Leaderboard) -> None:
    """Write leaderboard.json, and its ranking as leaderboard.csv."""
    stored = board.stored()
    write_atomically(folder / "leaderboard.json", json.dumps(stored, indent=2, ensure_ascii=False))
    write_atomically(folder / "leaderboard.csv", as_csv(list(map(flat_entry, stored["ranking"]))))


def _by_trials(evidence: Evidence, trials: Sequence[int]) -> list[Comparison]:
    """The comparisons, by trials in place of places."""
    return [replace(pair, a=trials[pair.a], b=trials[pair.b]) for pair in evidence.comparisons]


def _ranked(place: int, ranking: Ranking) -> LeaderboardEntry:
    """The entry of a place in the ranking, from 0."""
    entry, evidence = ranking.entries[place], ranking.evidence
    results = entry.results
    return LeaderboardEntry(
        rank=place + 1,
        group=evidence.groups[place],
        trial=entry.finalist.trial,
        config=entry.finalist.params,
        seeds=[result.seed for result in results],
        final_trials=[model.number for model in entry.models if model.number is not None],
        score=entry.score,
        score_std=stdev(result.score for result in results) if len(results) > 1 else None,
        score_ci=evidence.intervals[place],
        figures=ranking.figures[place],
        intervals={name: other.intervals[place] for name, other in ranking.beside.items()},
        groups={name: other.groups[place] for name, other in ranking.beside.items()},
        num_parameters=results[0].num_parameters,
        train_seconds=fmean(model.train_seconds for model in entry.models),
        pareto=False,  # until all are compared
        untrained=entry.finalist.trial in ranking.untrained,
    )
