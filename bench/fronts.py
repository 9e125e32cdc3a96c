"""How soon samplers find the front of quality and decoding time in tables of trained systems.

python bench/fronts.py DIR [SEEDS] [POLICY ...]

DIR has nmthpo_PAIR.csv (docs/search-quality.md). Measured times of one shape scatter by 12 to 15%, so the truth is
their fit: the main effects of the shape on log seconds. A policy is a sampler, with what it is told of the time:
default,known (before training), default,exact and default,noisy (after training: the truth, or the table's own time),
default,score (nothing: it looks for quality alone). Prints the regret after 10, 20 and 40 trainings: 1 - hypervolume /
that of all systems, in percent; the reference point is the median of the scores and the slowest system.
"""

import csv
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from search.goals.costs import Cost
from search.goals.front import hypervolume
from search.record.study import Study
from search.replay.tables import SYSTEM, Table, read_systems
from search.samplers import SAMPLERS, Task
from search.space.space import Params
from trainables.base.outcomes import Outcome

POLICIES = (
    "random,exact",
    "default,score",
    "default,known",
    "default,exact",
    "default,noisy",
    "tpe,noisy",
    "nsga2,noisy",
)
MARKS = (10, 20, 40)
SHAPE = SYSTEM[:-1]  # the learning rate changes no time


@dataclass(frozen=True)
class Systems:
    """A table of systems with their decoding times."""

    file: Path

    @cached_property
    def table(self) -> Table:
        return read_systems(self.file)

    @cached_property
    def noisy(self) -> dict[str, float]:
        """The measured seconds of each system, by its key."""
        with self.file.open() as rows:
            found: dict[str, float] = {}
            for row in csv.DictReader(rows):
                params: Params = {path: _number(row[path]) for path in SYSTEM}
                found.setdefault(self.table.space.key(params), float(row["decode_seconds"]))
        return found

    @cached_property
    def true(self) -> dict[str, float]:
        """The fitted seconds of each system, by its key."""
        systems = self.table.systems
        columns = [np.ones(len(systems))]
        for path in SHAPE:
            values = np.array([system.params[path] for system in systems.values()])
            columns += [values == value for value in np.unique(values)[1:]]
        shapes = np.array(columns, dtype=float).T
        effects, *_ = np.linalg.lstsq(shapes, np.log([self.noisy[key] for key in systems]), rcond=None)
        return dict(zip(systems, np.exp(shapes @ effects).tolist(), strict=True))

    def volume(self, keys: list[str]) -> float:
        """What these systems dominate, in BLEU times seconds."""
        systems = self.table.systems
        heights = np.array([systems[key].score for key in keys])
        seconds = np.array([[self.true[key]] for key in keys])
        return hypervolume(heights, seconds, self.table.median, np.array([max(self.true.values())]))


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def costs(systems: Systems, told: str) -> tuple[Cost, ...]:
    """The goal besides the score, as it is told to a sampler."""
    key = systems.table.space.key

    def seconds(times: dict[str, float]) -> Callable[[Params], float]:
        return lambda params: times[key(params)]

    if told == "known":
        return (Cost("seconds", known=lambda params: systems.true.get(key(params), math.inf)),)
    times = {"exact": systems.true, "noisy": systems.noisy, "score": None}[told]
    if times is None:
        return ()
    of = seconds(times)
    return (Cost("seconds", seen=lambda trial: of(trial.params)),)


def search(systems: Systems, policy: str, seed: int) -> list[float]:
    """The regret of one search, at each of MARKS."""
    name, told = policy.split(",")
    table, task = systems.table, systems.table.task(seed)
    sampler = SAMPLERS.read(name).make(Task(task.space, task.accept, seed, costs(systems, told)))
    study, distributions = Study(None, "fronts", "maximize"), table.space.to_optuna()
    keys: list[str] = []
    for _ in range(MARKS[-1]):
        proposal = sampler.propose(study)
        assert proposal, "a table has more systems"
        trial = study.add(proposal.params, distributions, proposal.memory)
        study.report(trial, 1, table.system(trial.params).score)
        study.finish(trial, Outcome.COMPLETED)
        keys.append(table.space.key(trial.params))
    best = systems.volume(list(table.systems))
    return [100 * (1 - systems.volume(keys[:mark]) / best) for mark in MARKS]


def main(folder: Path, seeds: int, policies: list[str]) -> None:
    files = sorted(folder.glob("nmthpo_*.csv"))
    names = [file.stem.rpartition("_")[2] for file in files]
    print("| sampler, told |", " | ".join([*names, "mean"]), "|\n|", "---|" * (len(files) + 2), sep="", flush=True)
    for policy in policies:
        means = []
        with ProcessPoolExecutor(2) as processes:
            for file in files:
                found = list(processes.map(partial(search, Systems(file), policy), range(seeds)))
                means.append(np.mean(found, axis=0))
        cells = [" / ".join(f"{regret:.1f}" for regret in row) for row in [*means, np.mean(means, axis=0)]]
        print(f"| {policy} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20, sys.argv[3:] or list(POLICIES))
