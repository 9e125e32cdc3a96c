"""How close samplers come to the best configuration of a large space, on an artificial score (see landscape.py).

python bench/samplers.py SAMPLER [SEEDS] [WORKERS] [TRIALS]

Prints a row: the regret after 10, 20, 40, 80 trials in BLEU without noise, which is the distance of the trial with the
highest score from the best known configuration, with mean and standard error over the seeds; and CPU seconds per
proposal. All trials are trained to the end, WORKERS of them at a time.
"""

import math
import sys
import time
from statistics import mean, stdev

from landscape import BEST_KNOWN, end, expected, make_experiment

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.record.trial import StudyTrial
from trainables.base.translation_config import as_translation

MARKS = (10, 20, 40, 80)


def search(sampler: str, seed: int, trials: int, workers: int) -> tuple[list[float], float]:
    """The regret of the leading trial after each ended trial, in order; CPU seconds per proposal."""
    experiment = make_experiment(sampler, trials, seed)
    plan, study = SearchPlan(experiment), Study(None, "bench", "maximize")
    running: list[StudyTrial] = []
    regrets: list[float] = []
    leading, regret, seconds = -math.inf, BEST_KNOWN, 0.0
    while len(regrets) < trials:
        if len(study.trials) < trials and len(running) < workers:
            started = time.process_time()
            proposal = plan.propose(study)
            seconds += time.process_time() - started
            assert proposal is not None, "the space has no end"
            running.append(study.add(proposal.params, plan.distributions, proposal.memory))
            continue
        trial = running.pop(0)
        config = as_translation(plan.config(trial.params))
        score = end(study, trial, config, seed)
        if score is not None and score > leading:
            leading, regret = score, BEST_KNOWN - expected(config)
        regrets.append(regret)
    return regrets, seconds / trials


def row(sampler: str, seeds: int, workers: int, trials: int) -> str:
    runs = [search(sampler, seed, trials, workers) for seed in range(seeds)]
    cells = [sampler, str(workers), str(seeds)]
    for mark in MARKS:
        regrets = [regret[mark - 1] for regret, _ in runs if mark <= trials]
        error = stdev(regrets) / math.sqrt(seeds) if len(regrets) > 1 else math.nan
        cells.append(f"{mean(regrets):.2f} ± {error:.2f}" if regrets else "")
    return f"| {' | '.join(cells)} | {mean(seconds for _, seconds in runs):.2f} |"


if __name__ == "__main__":
    sampler = sys.argv[1] if len(sys.argv) > 1 else "default"
    seeds, workers, trials = [*map(int, sys.argv[2:]), *(30, 1, MARKS[-1])[len(sys.argv[2:]) :]]
    print("| sampler | workers | seeds |", *(f"{mark} trials |" for mark in MARKS), "seconds a proposal |")
    print("|---" * (4 + len(MARKS)) + "|")
    print(row(sampler, seeds, workers, trials))
