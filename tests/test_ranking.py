"""What schedulers decide in studies at random, with equals and diverged trials, against rules written out here."""

import math
from collections.abc import Callable
from statistics import NormalDist, fmean, median

import numpy as np
import pytest
from test_schedulers import DIRECTIONS, RATES, Direction, Field

from search.record.attributes import Attributes
from search.record.forecasting import fit
from search.schedulers import Decision, Scheduler
from search.schedulers.gentle import Gentle
from search.schedulers.halving import Halving
from search.schedulers.median import MedianStopping
from search.schedulers.population import Population
from search.schedulers.promotion import Promotion
from search.space.space import SearchSpace

RUNGS = (1, 2, 4)
Told = dict[int, list[float]]  # merits by trial; those that diverged have a last one of -inf
Rule = Callable[[Told, int, set[int]], Decision]


def halving(told: Told, number: int, ended: set[int]) -> Decision:
    rung, scores = len(told[number]), at(told, len(told[number]))
    better = sum(score > told[number][-1] for score in scores.values())
    return "stop" if rung in RUNGS and better >= math.ceil(len(scores) / 3) else "go"


def promotion(told: Told, number: int, ended: set[int]) -> Decision:
    rung, scores = len(told[number]), at(told, len(told[number]))
    ranked = sorted(scores, key=lambda other: (-scores[other], other))
    return "park" if rung in RUNGS and ranked.index(number) >= len(scores) // 3 else "go"


def stopping_by_median(told: Told, number: int, ended: set[int]) -> Decision:
    mine, rung = told[number], len(told[number])
    scores = at(told, rung)
    if rung not in RUNGS or len(scores) < 4 or mine[-1] == max(scores.values()):
        return "go"
    averages = [
        -math.inf if scores[other] == -math.inf else fmean(told[other][:rung]) for other in scores if other != number
    ]
    return "go" if max(mine) >= median(averages) else "stop"


def gentle(told: Told, number: int, ended: set[int]) -> Decision:
    mine, rung = told[number][-1], len(told[number])
    finals = [(told[other][rung - 1], told[other][-1]) for other in sorted(ended)]
    if rung not in RUNGS or len(finals) < 4 or mine >= median(at(told, rung).values()):
        return "go"
    mean, deviation = fit(*zip(*finals, strict=True)).predict(mine)
    return "stop" if 1 - NormalDist(mean, deviation).cdf(max(final for _, final in finals)) < 0.1 else "go"


def at(told: Told, rung: int) -> dict[int, float]:
    """Merits at a rung; a trial that diverged counts at the rung it was on its way to."""
    found = {}
    for number, merits in told.items():
        if merits and merits[-1] == -math.inf:
            if rung == min(r for r in RUNGS if r >= len(merits)):
                found[number] = -math.inf
            elif rung < len(merits):
                found[number] = merits[rung - 1]
        elif rung <= len(merits):
            found[number] = merits[rung - 1]
    return found


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("scheduler", "rule"),
    [
        (Halving(RUNGS, 3), halving),
        (Promotion(RUNGS, 3), promotion),
        (MedianStopping(RUNGS), stopping_by_median),
        (Gentle(RUNGS), gentle),
    ],
    ids=["halving", "promotion", "median", "gentle"],
)
def test_decides_as_its_rule_says(scheduler: Scheduler, rule: Rule, direction: Direction) -> None:
    rng, field = np.random.default_rng(0), Field(None, direction)
    told: Told = {}
    ended, decisions = set[int](), list[Decision]()
    for _ in range(30):
        trial, quality = field.trial(), rng.integers(0, 8)
        merits = told.setdefault(trial.number, [])
        for epoch in range(1, 6):
            if rng.random() < 0.04 and epoch < 5:
                field.end(trial, "diverged")
                merits.append(-math.inf)
                break
            merits.append(float(quality + epoch + rng.integers(0, 3)))  # equals, too
            field.report(trial, merits[-1])
            if epoch == 5:
                field.end(trial, "completed")
                ended.add(trial.number)
                break
            decision = scheduler.decide(field.study, trial)
            assert decision == rule(told, trial.number, ended), (trial.number, epoch)
            decisions.append(decision)
            if decision == "stop" and rng.random() < 0.5:  # half of them go on, so that more is seen
                field.end(trial, "stopped")
                break
    assert len(set(decisions)) == 2 and len(ended) > 3


@pytest.mark.parametrize(("size", "quarter"), [(1, 0), (2, 1), (4, 1), (7, 1), (8, 2), (9, 2), (12, 3)])
def test_a_quarter_of_a_population_is_replaced_at_each_rung(size: int, quarter: int) -> None:
    space, field = SearchSpace.model_validate(RATES), Field(None)
    pbt = Population((1, 2), size, space)
    assert pbt.trials == size + 2 * quarter
    merits = np.random.default_rng(size).permutation(size).astype(float)
    for merit in merits:
        assert pbt.heir(field.study) is None and field.promoted(pbt) is None
        assert (
            field.act(pbt, field.report(field.study.add({"training.learning_rate": 0.01}, space.to_optuna()), merit))
            == "park"
        )
    ranked = np.argsort(-merits).tolist()
    replaced, parents = list[int](), set[int]()
    while (heir := pbt.heir(field.study)) is not None:
        parents.add(heir.parent.number)
        replaced.append(heir.replaces.number)
        field.study.add(
            heir.params,
            space.to_optuna(),
            scores=heir.parent.scores,
            attributes=Attributes(replaces=replaced[-1], parent=heir.parent.number, inherited=1, passed=frozenset({1})),
        )
        field.end(heir.replaces, "stopped")
    assert replaced == ranked[size - quarter :] and parents <= set(ranked[:quarter])
    assert [field.promoted(pbt) for _ in range(size - quarter)] == ranked[: size - quarter]
    assert field.promoted(pbt) is None
