"""CPU seconds per proposal after 20, 100, 300 and 1,000 trials of configs/architecture.yaml.

python bench/proposals.py [SAMPLER ...]    all samplers unless given
"""

import sys
import time
from statistics import median

from landscape import end, make_experiment

from search.engine.proposals import SearchPlan
from search.record.study import Study
from search.samplers import SAMPLERS
from trainables.base.translation_config import as_translation

MARKS = (20, 100, 300, 1000)
TIMED = 3  # timed proposals, the median counts; one before them loads the sampler's imports


def seconds_a_proposal(sampler: str, finished: int) -> float:
    """CPU seconds per proposal after so many random trials."""
    trials = finished + 1 + TIMED
    random, timed = (SearchPlan(make_experiment(name, trials, 0)) for name in ("random", sampler))
    study = Study(None, "bench", "maximize")
    seconds = []
    for number in range(trials):
        plan = random if number < finished else timed
        started = time.process_time()
        proposal = plan.propose(study)
        seconds.append(time.process_time() - started)
        assert proposal is not None, "the space has no end"
        trial = study.add(proposal.params, plan.distributions, proposal.memory)
        end(study, trial, as_translation(plan.config(trial.params)), 0)
    return median(seconds[-TIMED:])


if __name__ == "__main__":
    print("| sampler |", *(f"{mark:,} trials |" for mark in MARKS))
    print("|---" * (1 + len(MARKS)) + "|")
    for sampler in sys.argv[1:] or [name for name in SAMPLERS if name != "grid"]:
        print(f"| {sampler} |", *(f"{seconds_a_proposal(sampler, mark):.3f} |" for mark in MARKS), flush=True)
