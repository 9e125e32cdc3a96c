"""TensorBoard files, if tracking.tensorboard is set: RUN/tensorboard/trial-3, with one curve for each metric."""

from typing import Literal

from tensorboardX import SummaryWriter

from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import describe
from trainables.base.log import warn


class TensorBoardFiles:
    """A listener that writes TensorBoard files. A trial that continues gets a further file in its folder."""

    def __init__(self, experiment: Experiment, kind: Literal["trial", "final"]):
        self.folder, self.kind, self.unit = experiment.run_dir, kind, experiment.training.unit
        self.writers: dict[int, SummaryWriter] = {}
        self.broken = False

    def trial_started(self, trial: StudyTrial) -> None:
        """Do nothing, as a trial without reports needs no file."""

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        if self.broken:
            return
        try:
            if trial.number not in self.writers:
                writer = SummaryWriter(str(self.folder / "tensorboard" / f"{self.kind}-{trial.number}"))
                writer.add_text("settings", describe(trial.params), trial.progress)
                self.writers[trial.number] = writer
            for name, value in {"trial": line.trial, **line.figures()}.items():
                if name != self.unit and value is not None:
                    self.writers[trial.number].add_scalar(name, value, trial.progress)
            self.writers[trial.number].flush()
        except OSError as error:
            self.broken = True
            warn(f"tensorboard: can't be written ({error.strerror}); the search continues without it")

    def trial_parked(self, trial: StudyTrial) -> None:
        self._close(trial.number)

    def trial_ended(self, trial: StudyTrial) -> None:
        self._close(trial.number)

    def close(self) -> None:
        """Close the files of all trials."""
        for number in list(self.writers):
            self._close(number)

    def _close(self, number: int) -> None:
        if writer := self.writers.pop(number, None):
            try:
                writer.close()
            except OSError:
                self.broken = True
