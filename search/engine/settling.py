"""Whether a search has found what it can find: an ending that asks what its sampler expected of the last trials."""

import math
from dataclasses import dataclass

from search.record.journal import Journal
from search.record.study import Study
from trainables.base.outcomes import Outcome

PROPOSALS, SHARE = 5, 0.1  # so many in a row must have promised less than this share of the noise
TRIALS, COMPLETED = 10, 4  # before which the model knows its noise too badly


@dataclass(frozen=True)
class Settled:
    """Ends a search when another trial is expected to gain next to nothing beside the noise of a score.

    What was expected of a trial, and the noise, the sampler has written into the study when it proposed the trial
    (`memory`); so the answer stays the same whoever asks, and trials that run meanwhile can't change it.
    """

    metric: str
    ends_running = False  # more may have been expected of those

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why nothing should be proposed any more; None while something should."""
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
