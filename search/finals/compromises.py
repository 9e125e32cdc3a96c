"""Finalists of a search with several goals: those on the front, and the one that a wish in words is for."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from search.finals.board import LeaderboardEntry
from search.finals.stages import TestMetric
from search.goals.front import non_dominated
from search.settings.goals import PARAMETERS, GoalsConfig, Within
from search.settings.wording import count


def mark_front(ranking: Sequence[LeaderboardEntry], by: TestMetric, goals: GoalsConfig) -> list[LeaderboardEntry]:
    """The entries, each marked whether it is on the front of test score and costs: by default, of parameters."""
    names = goals.besides or (PARAMETERS,)
    heights = np.array([by.metric.worth(entry.score) for entry in ranking])
    costs = np.array([[_cost(entry, name, goals) for name in names] for entry in ranking])
    on_front = non_dominated(heights, costs)
    return [replace(entry, pareto=bool(front)) for entry, front in zip(ranking, on_front, strict=True)]


def choose(ranking: Sequence[LeaderboardEntry], by: TestMetric, goals: GoalsConfig) -> LeaderboardEntry:
    """The entry that becomes the best model: the first one, or what `search.goal` wishes for if scores say it."""
    wish = goals.within
    if wish is None or not _tells(ranking, by):
        return ranking[0]
    return min(_near_the_best(ranking, by, goals, wish), key=lambda entry: _cost(entry, wish.cost, goals))


def explain_choice(ranking: Sequence[LeaderboardEntry], by: TestMetric, goals: GoalsConfig) -> list[str]:
    """A sentence on what `search.goal` chose; none without a wish."""
    wish = goals.within
    if wish is None:
        return []
    if not _tells(ranking, by):
        return [f"search.goal is not followed, as {by.short} can't compare the finalists: best/ has the first of them"]
    near, chosen = _near_the_best(ranking, by, goals, wish), choose(ranking, by, goals)
    cost, first = chosen.cost(wish.cost), ranking[0].cost(wish.cost)
    told = "" if cost is None else f": {wish.cost} {cost:.4g}"
    if chosen is not ranking[0] and cost and first:
        told += f", {first / cost:.2g} times less than trial {ranking[0].trial}, which scores best"
    finalists = count(len(near), "finalist", "finalists")
    within = f"{finalists} within {wish.margin:g} {wish.metric} of the best"
    return [f"{goals.goal}: trial {chosen.trial}, of {within}{told}"]


def _tells(ranking: Sequence[LeaderboardEntry], by: TestMetric) -> bool:
    return by.metric.tells_apart([entry.score for entry in ranking])


def _near_the_best(
    ranking: Sequence[LeaderboardEntry], by: TestMetric, goals: GoalsConfig, wish: Within
) -> list[LeaderboardEntry]:
    """The entries within the margin of the best: by test score if that is the same metric, else by valid score."""
    metric = goals.metrics[wish.metric]
    tested = by.name.removeprefix("test_") == wish.metric.removeprefix("valid_")

    def worth(entry: LeaderboardEntry) -> float:
        score = entry.score if tested else entry.figures.get(wish.metric)
        return -math.inf if score is None else metric.worth(score)

    best = max(map(worth, ranking))
    return [entry for entry in ranking if worth(entry) >= best - wish.margin] or list(ranking)


def _cost(entry: LeaderboardEntry, name: str, goals: GoalsConfig) -> float:
    """The cost of an entry, of which less is better; infinite if it is not known."""
    value = entry.cost(name)
    if value is None:
        return math.inf
    return -goals.metrics[name].worth(value) if name in goals.metrics else value
