"""Successive halving: which trials go on at a rung. Functions of what the study holds."""

from dataclasses import dataclass

from search.study import Study, StudyTrial


@dataclass(frozen=True)
class SuccessiveHalving:
    """Asynchronous successive halving by stopping (Li et al. 2020), without brackets.

    A trial that reaches a rung goes on if it is among the best ceil(n / reduction_factor) of the n trials
    that have reached it so far, itself included. So the first to arrive always goes on, and equals go on
    together. No rungs: every trial runs to its end.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2

    def goes_on(self, study: Study, trial: StudyTrial) -> bool:
        """Whether the trial may train past the epoch it has just reported."""
        rung = trial.epoch
        if rung not in self.rungs:
            return True
        scores = [other.scores[rung] for other in study.trials.values() if rung in other.scores]
        ahead = sum(study.better(score, trial.scores[rung]) for score in scores)
        return ahead < -(-len(scores) // self.reduction_factor)
