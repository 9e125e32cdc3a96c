"""CPU seconds per proposal after 20, 100, 300 and 1,000 trials of configs/architecture.yaml.

python bench/proposals.py [SAMPLER ...]    all samplers unless given
python bench/proposals.py --slots 64 [SAMPLER ...]    64 proposals in a row, as for 64 free slots; default unless given
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
    timed, study = SearchPlan(make_experiment(sampler, trials, 0)), begun(finished, trials)
    seconds = []
    for _ in range(1 + TIMED):
        seconds.append(propose(timed, study))
        config = as_translation(timed.config(study.trials[len(study.trials) - 1].params))
        end(study, study.trials[len(study.trials) - 1], config, 0)
    return median(seconds[-TIMED:])


def seconds_for_slots(sampler: str, finished: int, slots: int) -> float:
    """CPU seconds for so many proposals in a row after so many random trials; all of them run then."""
    trials = finished + 1 + slots
    timed, study = SearchPlan(make_experiment(sampler, trials, 0)), begun(finished, trials)
    propose(timed, study)  # loads the sampler's imports
    end(study, study.trials[finished], as_translation(timed.config(study.trials[finished].params)), 0)
    return sum(propose(timed, study) for _ in range(slots))


def begun(finished: int, trials: int) -> Study:
    """A study with so many random trials that have ended."""
    random, study = SearchPlan(make_experiment("random", trials, 0)), Study(None, "bench", "maximize")
    for _ in range(finished):
        propose(random, study)
        trial = study.trials[len(study.trials) - 1]
        end(study, trial, as_translation(random.config(trial.params)), 0)
    return study


def propose(plan: SearchPlan, study: Study) -> float:
    """Add a proposal to the study. Returns the CPU seconds that it took."""
    started = time.process_time()
    proposal = plan.propose(study)
    seconds = time.process_time() - started
    assert proposal is not None, "the space has no end"
    study.add(proposal.params, plan.distributions, proposal.memory)
    return seconds


if __name__ == "__main__":
    slots, named = 0, sys.argv[1:]
    if named[:1] == ["--slots"]:
        slots, named = int(named[1]), named[2:] or ["default"]
    print("| sampler |", *(f"{mark:,} trials |" for mark in MARKS))
    print("|---" * (1 + len(MARKS)) + "|")
    for sampler in named or [name for name in SAMPLERS if name != "grid"]:
        cells = [seconds_for_slots(sampler, m, slots) if slots else seconds_a_proposal(sampler, m) for m in MARKS]
        print(f"| {sampler} |", *(f"{seconds:.3f} |" for seconds in cells), flush=True)
