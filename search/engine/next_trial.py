"""Which trial a free worker gets: one that continues, or a new one, which is written before it is trained."""

import logging
from collections.abc import Callable, Sequence

from search.engine.decisions import add_heir, let_pass
from search.engine.rules import Records, Rules
from search.record.attributes import Attributes
from search.record.trial import StudyTrial
from search.schedulers.base import Breeder
from trainables.base.config import TrialConfig
from trainables.base.outcomes import Outcome

log = logging.getLogger("babeltune.work")


class NextTrial:
    """Finds the trial to train next. live: the numbers of trials that workers have."""

    def __init__(self, records: Records, rules: Rules, live: dict[int, int], tell_end: Callable[[StudyTrial], None]):
        """tell_end: tells listeners that a trial has ended because an heir replaces it."""
        self.records, self.rules, self.live, self.tell_end = records, rules, live, tell_end
        self.study = records.study

    def find(self) -> StudyTrial | None:
        """The first of: an interrupted trial, a promoted trial, an heir, a new trial; None if there is none."""
        return self._interrupted() or self._promoted() or self._heir() or self._proposed()

    def furthest(self) -> StudyTrial | None:
        """If all wait and none was trained to the end: the best of those with the most progress, past its rung."""
        completed = any(trial.outcome == Outcome.COMPLETED for trial in self.study.trials.values())
        if completed or self.rules.reason_to_end(self.records):
            return None
        trial = max(self.idle(), key=lambda t: (t.progress, self.study.merit(t, t.progress), -t.number), default=None)
        if trial is not None:
            let_pass(self.study, trial, self.rules.now)
        return trial

    def another(self, group: Sequence[TrialConfig]) -> StudyTrial | None:
        """An interrupted or new trial that can be trained as one computation with those of the group."""
        plan = self.rules.plan
        for number in sorted(self.study.active.keys() - self.live.keys()):
            trial = self.study.trials[number]
            if self.rules.train_as_one([*group, plan.config(trial.params)]):
                return trial
        proposal = plan.propose(self.study)
        if proposal is None or not self.rules.train_as_one([*group, plan.config(proposal.params)]):
            return None
        return self._proposed()

    def idle(self) -> list[StudyTrial]:
        """The trials that are RUNNING in the study, but that no worker has."""
        return [trial for number, trial in sorted(self.study.running.items()) if number not in self.live]

    def _interrupted(self) -> StudyTrial | None:
        """A trial that must continue because its worker or an earlier driver died."""
        numbers = (number for number in self.study.active if number not in self.live)
        return self.study.trials.get(min(numbers, default=-1))

    def _promoted(self) -> StudyTrial | None:
        if self.rules.reason_to_end(self.records):
            return None
        trial = self.rules.scheduler.promote(self.study, set(self.live))
        if trial is not None:
            log.info("trial %d is promoted at epoch %g", trial.number, trial.epochs)
            let_pass(self.study, trial, self.rules.now)
        return trial

    def _heir(self) -> StudyTrial | None:
        """An heir. Its checkpoint is copied before it is added, so a trial in the study always has its checkpoint."""
        scheduler = self.rules.scheduler
        heir = scheduler.heir(self.study) if isinstance(scheduler, Breeder) else None
        if heir is None or self.rules.reason_to_end(self.records):
            return None
        self.records.checkpoints.copy(heir.parent.number, len(self.study.trials), heir.parent.progress)
        was_running = heir.replaces.running
        trial = add_heir(self.study, heir, self.rules.plan.distributions, self.rules.now)
        if was_running:
            self.tell_end(heir.replaces)
        self.records.keep_safe()
        return trial

    def _proposed(self) -> StudyTrial | None:
        if self.rules.reason_to_end(self.records, starting=True):
            return None
        proposal = self.rules.plan.propose(self.study)
        if proposal is None:
            return None
        # A killed driver may have left a checkpoint here, copied for an heir that was not added.
        self.records.checkpoints.remove(len(self.study.trials))
        known = Attributes(after=len(self.records.journal.lines), clock=self.rules.now)
        trial = self.study.add(proposal.params, self.rules.plan.distributions, proposal.memory, attributes=known)
        log.info(
            "trial %d is proposed after %d reports: %s; the sampler noted %s",
            trial.number,
            known.after,
            trial.params,
            proposal.memory or "nothing",
        )
        self.records.keep_safe()
        return trial
