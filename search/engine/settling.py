"""Ends a search when its sampler expects next to no further gain."""

import math
from dataclasses import dataclass

from search.record.journal import Journal
from search.record.study import Study
from trainables.base.outcomes import Outcome

PROPOSALS, SHARE = 5, 0.1  # so many proposals in a row must have an expected gain below this share of the noise
TRIALS, COMPLETED = 10, 4  # with fewer trials, or completed ones, the model's noise is too uncertain


@dataclass(frozen=True)
class Settled:
    """Ends a search when the expected gain of another trial is small beside the noise of a score.

    The sampler wrote the expected gain and the noise into the study (`memory`) when it proposed a trial. So the answer
    is the same after a resume, and does not depend on trials that are running.
    """

    metric: str
    ends_running = False  # running trials may have had a larger expected gain

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why no more trials should be proposed; None if they should."""
        trials = study.trials
        completed = sum(trial.outcome == Outcome.COMPLETED for trial in study.best(COMPLETED))
        if len(trials) < TRIALS or completed < COMPLETED:
            return None
        memories = [trials[len(trials) - back].attributes.memory for back in range(1, PROPOSALS + 1)]
        gains = [memory.get("gain", math.inf) for memory in memories]
        noises = [memory.get("noise", 0.0) for memory in memories]
        if any(gain >= SHARE * noise for gain, noise in zip(gains, noises, strict=True)):
            return None
        return (
            f"search.stop_when_settled: each of the last {PROPOSALS} trials was expected to gain {max(gains):.2g} "
            f"{self.metric} or less, where scores have a noise of {min(noises):.2g}"
        )
