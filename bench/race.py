"""The race of the finals on simulated finalists: is it right as often as it says, and how many trainings does it save?

python bench/race.py [--races 300] [--scenario NAME] [--slots 1]

Each item of the test has a score by each model: the quality of its system, plus the luck of the item (shared by all),
of the item for this system, of the seed, and of both together. Prints a row per scenario: trainings, answers for pairs
with the leader; how often the true difference is in the interval, over all pairs; races that call equal systems
different, or systems equivalent that differ by the margin or more; and the trainings that a fixed number of seeds needs
for as many answers (interpolated between numbers of seeds).
"""

import argparse
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from unittest.mock import patch

import numpy as np

from search.finals import item_tests, significance
from search.finals.race import FUTILE, Race
from search.finals.significance import Evidence, Looks
from search.finals.stages import TestMetric
from trainables.base.metrics import Metric
from trainables.scoring.metrics import mean_of_sums

ITEMS, SAMPLES = 200, 1000  # of the bootstrap; fewer than in a search, for speed
METRIC = TestMetric("test_score", Metric("score"), "score", "sentences", mean_of_sums, (-1e9, 1e9))
LUCK = 8.0  # standard deviation of an item's score; all others are in docs/evidence.md
FIXED = (2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Scenario:
    qualities: tuple[float, ...]
    margin: float | None
    seed_deviation: float = 0.4
    item_deviation: float = 0.3  # of a difference of two systems, by the choice of the items
    seconds: tuple[float, ...] = (1.0, 1.0, 1.0)


SCENARIOS = {
    "equal, no margin": Scenario((30, 30, 30), None),
    "equal, margin 1": Scenario((30, 30, 30), 1.0),
    "apart by the margin": Scenario((30, 29.2, 29.2), 0.8),
    "one far behind": Scenario((30, 29.8, 27), 1.0),
    "clear and close": Scenario((30, 29, 28.7), 0.8),
    "one costs thrice": Scenario((30, 29, 29), 0.8, seconds=(1, 3, 1)),
}


@dataclass
class Finalists:
    """Systems that give models when asked."""

    scenario: Scenario
    rng: np.random.Generator
    models: list[list[np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        count, spread = len(self.scenario.qualities), self.scenario.item_deviation * np.sqrt(ITEMS / 2)
        self.items = self.rng.normal(0, LUCK, ITEMS) + self.rng.normal(0, spread, (count, ITEMS))
        self.models = [[] for _ in range(count)]

    def train(self, system: int) -> None:
        luck = self.rng.normal(0, self.scenario.seed_deviation)
        own = self.rng.normal(0, LUCK / 2, ITEMS)  # of a seed on an item; its mean is a part of the seed's luck
        scores = self.scenario.qualities[system] + self.items[system] + luck + own
        self.models[system].append(np.stack([scores, np.ones(ITEMS)], axis=1))

    def compare(
        self, history: list[list[int]], most: int | None, over: bool = False
    ) -> tuple[list[int], Evidence, Looks]:
        """The order of the systems, the best first; what is known of them; and the comparisons so far."""
        means = [np.mean([model[:, 0].mean() for model in models]) for models in self.models]
        order = sorted(range(len(means)), key=lambda system: -means[system])
        looks = Looks([[seeds[system] for system in order] for seeds in history], most or 0, over)
        systems = [[(model,) for model in self.models[system]] for system in order]
        return order, significance.weigh(systems, METRIC, looks if most else None), looks


@dataclass
class Tally:
    """What came out of many races."""

    trainings: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    alone: list[bool] = field(default_factory=list)
    false_differences: list[bool] = field(default_factory=list)
    false_equivalences: list[bool] = field(default_factory=list)

    def add(self, finalists: Finalists, order: list[int], evidence: Evidence) -> None:
        scenario, qualities = finalists.scenario, finalists.scenario.qualities
        true = {(a, b): qualities[order[a]] - qualities[order[b]] for a, b in combinations(range(len(order)), 2)}
        different = {(p.a, p.b): p.p_holm < 0.05 for p in evidence.comparisons}
        equivalent = {(p.a, p.b): p.equivalent(scenario.margin) for p in evidence.comparisons}
        self.trainings.append(
            sum(len(models) * each for models, each in zip(finalists.models, scenario.seconds, strict=True))
        )
        self.answers += [different[pair] or equivalent[pair] for pair in true if pair[0] == 0]
        self.covered += [p.ci[0] <= true[p.a, p.b] <= p.ci[1] for p in evidence.comparisons]
        self.alone += [
            low <= qualities[system] <= high for system, (low, high) in zip(order, evidence.intervals, strict=True)
        ]
        self.false_differences.append(any(different[pair] and not gap for pair, gap in true.items()))
        margin = scenario.margin or np.inf
        self.false_equivalences.append(any(equivalent[pair] and abs(gap) >= margin for pair, gap in true.items()))


def race(scenario: Scenario, seed: int, most: int, slots: int) -> tuple[Finalists, list[int], Evidence]:
    finalists, count = Finalists(scenario, np.random.default_rng(seed)), len(scenario.qualities)
    for system in range(count):
        finalists.train(system)
        finalists.train(system)
    history = [[2] * count]
    while True:
        order, evidence, looks = finalists.compare(history, most)
        state = Race(evidence, looks, [scenario.seconds[system] for system in order], scenario.margin)
        if state.promise < FUTILE:
            order, evidence, _ = finalists.compare(history, most, over=True)
            return finalists, order, evidence
        given = [len(finalists.models[system]) for system in order]
        for _ in range(slots):
            if (place := state.next(given)) is None:
                break
            given[place] += 1
            finalists.train(order[place])
        history.append([len(models) for models in finalists.models])


def fixed(scenario: Scenario, seed: int, seeds: int) -> tuple[Finalists, list[int], Evidence]:
    finalists = Finalists(scenario, np.random.default_rng(seed))
    for system in range(len(scenario.qualities)):
        for _ in range(seeds):
            finalists.train(system)
    order, evidence, _ = finalists.compare([], None)
    return finalists, order, evidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=300)
    parser.add_argument("--most", type=int, default=10, help="seeds of a finalist")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--scenario", choices=SCENARIOS)
    given = parser.parse_args()
    with (
        patch.object(significance, "resampled_sums", partial(item_tests.resampled_sums, samples=SAMPLES)),
        patch.object(item_tests, "SHUFFLES", SAMPLES),
    ):
        simulate(given)


def simulate(given: argparse.Namespace) -> None:
    print("| finalists | trainings | answers | pairs covered | systems covered | called different, equal | ", end="")
    print("called equivalent, apart | fixed seeds for as many answers |\n|---|---|---|---|---|---|---|---|")
    for name, scenario in SCENARIOS.items():
        if given.scenario not in (None, name):
            continue
        raced = Tally()
        for seed in range(given.races):
            raced.add(*race(scenario, seed, given.most, given.slots))
        answered, trainings = [], []
        for seeds in FIXED:
            tally = Tally()
            for seed in range(given.races // 3):
                tally.add(*fixed(scenario, seed, seeds))
            answered.append(float(np.mean(tally.answers)))
            trainings.append(float(np.mean(tally.trainings)))
        share = float(np.mean(raced.answers))
        needed = np.interp(share, np.maximum.accumulate(answered), trainings, right=np.inf)
        fractions = (raced.covered, raced.alone, raced.false_differences, raced.false_equivalences)
        shown = " | ".join(f"{np.mean(values):.1%}" for values in fractions)
        print(f"| {name} | {np.mean(raced.trainings):.1f} | {share:.0%} | {shown} | {needed:.1f} |", flush=True)


if __name__ == "__main__":
    main()
