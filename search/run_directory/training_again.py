"""One trial of a run, trained again in this process, with the reports of the search beside its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.record.journal import read_lines
from search.record.trial import StudyTrial
from search.run_directory.inputs import recorded_splits
from search.settings.experiment import Experiment
from search.settings.preparation import Preparation
from trainables.base.checkpoint_files import KEEP
from trainables.base.claiming import claim
from trainables.base.errors import Diverged, UserError
from trainables.base.report import EpochReport

if TYPE_CHECKING:  # it imports Ray
    from trainables.worker import Training


@dataclass(frozen=True)
class Repeated:
    """A report of the training, and the one that the search has for this epoch, if it trained so far."""

    report: EpochReport
    recorded: EpochReport | None

    @property
    def differing(self) -> list[str]:
        """The figures that are not exactly those of the search."""
        if self.recorded is None:
            return []
        return [name for name, value in self.recorded.figures.items() if self.report.figures.get(name) != value]


def repeat_trial(experiment: Experiment, trial: StudyTrial, folder: Path) -> Iterator[Repeated]:
    """Train a trial to its last epoch, with one CPU thread or on the first GPU, as one slot of a search does.

    A folder that has a checkpoint goes on after it; its last report comes first again.

    Args:
        experiment: The search.
        trial: The trial; the search may have stopped it.
        folder: The folder for the checkpoints and `config.yaml`.

    Yields:
        Each report, as soon as its checkpoint is on disk.

    Raises:
        UserError: If the data changed, the trial can't be repeated, or it diverges.
    """
    import torch

    if trial.attributes.parent is not None:
        raise UserError(
            f"trial {trial.number}: began with the weights of trial {trial.attributes.parent}, so it can't be trained "
            f"again by itself; its configuration is printed by show --trial {trial.number} --yaml"
        )
    preparation: Preparation = experiment.definition.part("preparation")
    preparation.pin_data(experiment, recorded_splits(experiment.run_dir))
    config = experiment.trial.with_values(trial.params)
    claim(folder, config)
    known = {
        line.report.epoch: line.report
        for line in read_lines(experiment.run_dir / "trials.jsonl")
        if line.trial == trial.number
    }
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    training: Training = experiment.definition.part("training")
    gpus = int(torch.cuda.is_available())
    try:
        with closing(training.train([config], experiment.cache, [folder], gpus, KEEP)) as reports:
            for _, report in reports:
                if isinstance(report, Diverged):
                    raise UserError(f"trial {trial.number}: diverged: {report}")
                yield Repeated(report, known.get(report.epoch))
    except (ValueError, RuntimeError) as error:
        raise UserError(f"trial {trial.number}: {error}") from error
