"""Disk space: what nobody will train or score again is removed."""

import shutil
from pathlib import Path
from typing import Any

from search.study import StudyTrial


class CheckpointCleaner:
    """A listener that removes the checkpoints of trials that nobody will train or score again."""

    def __init__(self, folder: Path, keep_completed: bool):
        self.folder, self.keep_completed = folder, keep_completed

    def sweep(self, ended: list[StudyTrial]) -> None:
        """What a driver had left to remove when it was killed."""
        for trial in ended:
            self.trial_ended(trial)

    def trial_started(self, trial: StudyTrial) -> None:
        """Nothing to remove yet."""

    def epoch_reported(self, trial: StudyTrial, report: dict[str, Any]) -> None:
        """Nothing to remove yet."""

    def trial_parked(self, trial: StudyTrial) -> None:
        """It may be promoted, and goes on from its checkpoint."""

    def trial_ended(self, trial: StudyTrial) -> None:
        if not (self.keep_completed and trial.outcome == "completed"):
            shutil.rmtree(self.folder / str(trial.number), ignore_errors=True)
