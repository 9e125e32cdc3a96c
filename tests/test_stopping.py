"""Early stopping on simulated curves that cross, that are noisy, and that mislead: what the model's chance is for."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pytest

from search.record.study import Study
from search.record.trial import StudyTrial
from search.replay.measures import Policy
from search.replay.simulation import CurveSimulation
from search.replay.tables import System, Table, make_table
from search.samplers import SAMPLERS
from search.schedulers import SCHEDULERS, Decision, Scheduler

LENGTH, SEEDS = 8, range(4)
Early = Callable[
    [float, float, float], float
]  # the final score, the size in 0..1 and a normal draw -> the score at first
KINDS: dict[str, Early] = {
    "crossing": lambda end, size, chance: end - 8 * size,  # larger models end better and learn more slowly
    "noisy": lambda end, size, chance: end + 3 * chance,
    "misleading": lambda end, size, chance: -end,
}


def table_of(kind: str) -> Table:
    """96 systems: the score rises with the size, and has its best learning rate inside."""
    rng, systems = np.random.default_rng(7), list[System]()
    for size, rate, depth in itertools.product(range(6), range(4), range(4)):
        end = 20 + 0.8 * size - 1.5 * (rate - 2) ** 2 - 0.5 * abs(depth - 2) + 0.2 * rng.normal()
        early = KINDS[kind](end, size / 5, rng.normal())
        curve = np.linspace(early, end, LENGTH)
        systems.append(System({"size": size, "rate": rate, "depth": depth}, end, tuple(curve.tolist())))
    return make_table(kind, systems)


@dataclass(frozen=True)
class Found:
    """Means over SEEDS searches by four workers with 12 whole trainings."""

    regret: float
    kill_rate: float
    started: float


def search(table: Table, chance: float | None) -> Found:
    policy = Policy(SAMPLERS.default, SCHEDULERS.read({"kind": "asha_promotion", "chance": chance}))
    rows = []
    for seed in SEEDS:
        sampler = policy.make_sampler(table, seed)
        simulation = CurveSimulation(table, sampler, policy.make_scheduler(table, sampler), 4, 12 * LENGTH)
        found = simulation.run()
        rows.append((table.best - max(found.finished), found.killed, len(simulation.study.trials)))
    return Found(*map(fmean, zip(*rows, strict=True)))


def both(kind: str) -> tuple[Found, Found]:
    """What is found with the model's chance, and by rank alone."""
    table = table_of(kind)
    return search(table, 0.2), search(table, None)


def test_the_model_keeps_those_who_learn_slowly() -> None:
    with_chance, by_rank = both("crossing")
    assert with_chance.kill_rate < by_rank.kill_rate and with_chance.regret < by_rank.regret


def test_where_rungs_mislead_the_model_finds_better_ones_until_the_rung_is_ignored() -> None:
    with_chance, by_rank = both("misleading")
    assert with_chance.kill_rate <= by_rank.kill_rate and with_chance.regret < by_rank.regret


def test_noise_at_rungs_costs_next_to_nothing() -> None:
    with_chance, by_rank = both("noisy")
    assert with_chance.kill_rate == 0 and with_chance.regret < by_rank.regret + 0.2
    assert with_chance.started > 1.5 * 12, "more are started than whole trainings would fit"


@pytest.mark.parametrize("kind", ["crossing", "misleading"])
def test_decisions_are_the_same_if_a_new_driver_makes_them(kind: str) -> None:
    """At each decision, a sampler and a scheduler that have seen nothing before decide the same."""
    table = table_of(kind)
    policy = Policy(SAMPLERS.default, SCHEDULERS.default)
    sampler = policy.make_sampler(table, 0)
    simulation = CurveSimulation(table, sampler, policy.make_scheduler(table, sampler), 4, 5 * LENGTH)
    asked = 0

    class Checked:
        rungs = simulation.scheduler.rungs
        first = simulation.scheduler

        def decide(self, study: Study, trial: StudyTrial) -> Decision:
            nonlocal asked
            decision = self.first.decide(study, trial)
            if trial.progress in self.rungs:
                asked += 1
                assert decision == self.again().decide(study, trial)
            return decision

        def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
            trial = self.first.promote(study, live)
            assert trial is self.again().promote(study, live)
            return trial

        def again(self) -> Scheduler:
            return policy.make_scheduler(table, policy.make_sampler(table, 0))

    simulation.scheduler = Checked()
    simulation.run()
    assert asked > 5
