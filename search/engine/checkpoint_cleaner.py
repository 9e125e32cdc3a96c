"""Frees disk space: removes checkpoints that nothing needs any more."""

from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from trainables.base.outcomes import Outcome
from trainables.sharing.checkpoint_places import Checkpoints


class CheckpointCleaner:
    """A listener that removes the checkpoints of trials that will not be trained or scored again."""

    def __init__(self, checkpoints: Checkpoints, keep_completed: bool):
        self.checkpoints, self.keep_completed = checkpoints, keep_completed

    def sweep(self, ended: list[StudyTrial]) -> None:
        """Remove the checkpoints that a killed driver left behind. ended: the trials that have ended."""
        left = self.checkpoints.numbers()
        for trial in ended:
            if trial.number in left:
                self.trial_ended(trial)

    def trial_started(self, trial: StudyTrial) -> None:
        """Nothing to remove yet."""

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        """Nothing to remove yet."""

    def trial_parked(self, trial: StudyTrial) -> None:
        """Nothing to remove: the trial continues from its checkpoint if it is promoted."""

    def trial_ended(self, trial: StudyTrial) -> None:
        if not (self.keep_completed and trial.outcome == Outcome.COMPLETED):
            self.checkpoints.remove(trial.number)
