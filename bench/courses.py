"""The expectations of `plan`, compared with the real sampler on an artificial score (see landscape.py).

python bench/courses.py    about 4 minutes of a core

Prints a row for each configuration: what was planned, and what four searches took; device time is in units of its own.
"""

import math
from statistics import mean

from landscape import measured

from search.cluster.slots import Slots
from search.engine.proposals import SearchPlan
from search.planning.made_up import SPEED, Curves
from search.planning.own_models import MODELS
from search.planning.simulation import Conditions, Course, simulate
from search.planning.speeds import Speeds
from search.settings.experiment import Experiment
from trainables.base.config import TrialConfig
from trainables.base.rounds import Rounds
from trainables.base.translation_config import as_translation

CASES = {"quickstart": 12, "multi30k": 24, "own": 24, "architecture": 30}  # trials
SLOTS, SPEEDS, STEPS = Slots(2, 0.0), Speeds.by_work(MODELS), 300  # an epoch
DIVERGED = 1.5  # BLEU
FIGURES = ("epochs", "device_seconds", "finals_device_seconds")


class Landscape(Curves):
    """The curve of each configuration rises to its score in the landscape."""

    def score(self, config: TrialConfig, progress: float) -> float:
        end = measured(as_translation(config), self.seed) or DIVERGED
        return max(1.1, end * (1 - math.exp(-SPEED * progress)) / (1 - math.exp(-SPEED)))


def conditions(experiment: Experiment) -> Conditions:
    """The same for all."""
    return Conditions(experiment, SLOTS, SPEEDS, Rounds(experiment.training, STEPS))


def searched(experiment: Experiment, seed: int) -> Course:
    """A search with the sampler of the experiment."""
    experiment = experiment.model_copy(update={"search": experiment.search.model_copy(update={"seed": seed})})
    curves = Landscape(experiment.trial, seed, MODELS)
    return simulate(conditions(experiment), seed, curves, SearchPlan(experiment))


if __name__ == "__main__":
    print(
        "| configuration | trials |",
        *(f"{figure.replace('_', ' ')}: planned | searched | ratio |" for figure in FIGURES),
    )
    print("|---" * (2 + 3 * len(FIGURES)) + "|")
    for name, trials in CASES.items():
        experiment = Experiment.load(name, **{"search.trials": trials})
        planned = [simulate(conditions(experiment), seed) for seed in range(5)]
        found = [searched(experiment, seed) for seed in range(4)]
        cells = []
        for figure in FIGURES:
            guess, real = ([getattr(course, figure) for course in courses] for courses in (planned, found))
            cells.append(f"{mean(guess):.3g} | {min(real):.3g} to {max(real):.3g} | {mean(guess) / mean(real):.2f}")
        print(f"| {name} | {trials} | {' | '.join(cells)} |", flush=True)
