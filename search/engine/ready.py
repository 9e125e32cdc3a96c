"""Proposals that are made before a slot is free, so that no slot waits for one; and how long slots waited."""

import time
from collections.abc import Callable

from search.engine.proposals import Plan
from search.record.study import Study
from search.samplers import Proposal
from search.space.space import Params, SearchSpace
from trainables.base.config import TrialConfig

LEAST_SLOTS = 8  # with fewer slots, each proposal should know the results of all trials before it
SLOTS_EACH = 16  # for so many slots, one proposal is kept ready
LEAST_TRIALS = 16  # before, proposals are quick, and each result counts
SHARE = 0.1  # of the driver's time that may go into proposals ahead


class ReadyPlan:
    """A plan that keeps the next proposals ready, and makes them again while there is time, after new results.

    They are nowhere written: a resumed search makes them again. So a search that must be repeatable has none.
    """

    def __init__(self, plan: Plan, slots: int, clock: Callable[[], float] = time.monotonic):
        self.plan, self.count, self._clock = plan, -(-slots // SLOTS_EACH), clock
        self.distributions = plan.distributions
        self._ready: list[tuple[int, Proposal]] = []  # the number of results that it was made from, and the proposal
        self._rest = 0.0  # until then, the driver has other things to do

    def propose(self, study: Study) -> Proposal | None:
        """The next trial, the same until it is added; None if nothing is left to propose."""
        self._drop_added(study)
        return self._ready[0][1] if self._ready else self.plan.propose(study)

    def config(self, params: Params) -> TrialConfig:
        """The configuration for these parameters."""
        return self.plan.config(params)

    def lacks(self, study: Study) -> bool:
        """Whether a proposal should be made now: one is missing or older than the latest result, and there is time."""
        self._drop_added(study)
        current = sum(results == study.results for results, _ in self._ready)
        return current < self.count and len(study.trials) >= LEAST_TRIALS and self._clock() >= self._rest

    def prepare(self, study: Study) -> None:
        """Make one proposal ahead."""
        self._drop_added(study)
        current = [entry for entry in self._ready if entry[0] == study.results]
        started, study.ahead = self._clock(), [proposal.params for _, proposal in current]
        try:
            proposal = self.plan.propose(study)
        finally:
            study.ahead = []
        now = self._clock()
        self._rest = now + (now - started) / SHARE
        if proposal is None:
            return
        made = [*current, (study.results, proposal)]
        keys = {SearchSpace.key(each.params) for _, each in made}
        older = [entry for entry in self._ready if SearchSpace.key(entry[1].params) not in keys]
        self._ready = [*made, *older][: self.count]  # the older ones serve until they are made again

    def _drop_added(self, study: Study) -> None:
        self._ready = [entry for entry in self._ready if SearchSpace.key(entry[1].params) not in study.known]


class IdleSlots:
    """The seconds that slots were free between two trainings, over all slots."""

    def __init__(self, before: float = 0.0, clock: Callable[[], float] = time.monotonic):
        """before: those of earlier drivers."""
        self.seconds, self._clock = before, clock
        self._free: list[float] = []  # since when

    def freed(self) -> None:
        """A slot has released its trial."""
        self._free.append(self._clock())

    def taken(self) -> None:
        """A slot has got a trial: the one that was free for longest, or one that had none yet."""
        if self._free:
            self.seconds += self._clock() - self._free.pop(0)
