"""Takes over trainings of earlier finals that the finals of an extended search would repeat."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from search.finals.choosing import FinalsPlan, read_finalists
from search.record.attributes import Attributes
from search.record.journal import Journal, JournalLine, read_lines
from search.record.study import Study
from search.run_directory.earlier import TAKEN_FINALS, Earlier, link
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.space.space import Params
from trainables.base.checkpoint_files import whole_checkpoint
from trainables.base.config import TrialConfig
from trainables.base.files import remove, sync_tree
from trainables.base.outcomes import Outcome
from trainables.base.sealing import write_sealed


@dataclass(frozen=True)
class KeptTraining:
    """A training of earlier finals that was completed, and whose checkpoints are still there."""

    earlier: Path  # the folder in earlier/
    number: int  # there
    config: TrialConfig
    lines: tuple[JournalLine, ...]

    @property
    def folder(self) -> Path:
        """Its checkpoints and results."""
        return self.earlier / "finals" / str(self.number)

    def has_checkpoints(self, needed: int) -> bool:
        """Whether its last `needed` checkpoints are complete."""
        unit = self.config.training.unit
        names = [f"{unit}-{line.report.progress(unit)}" for line in self.lines[-needed:]]
        return all(whole_checkpoint(self.folder / name) is not None for name in names)


def take_over_finals(earlier: Earlier, experiment: Experiment, plan: FinalsPlan, finals: Study) -> int:
    """Add the trainings of earlier finals that the plan may have to the study, with checkpoints and results.

    They come first in the plan. A kill at any moment is harmless: the next driver completes what was begun.

    Returns:
        The number of trainings that need not be repeated.
    """
    found = list(_matching(earlier, experiment, plan))
    known = [point for point, _ in found]
    points = [*known, *(point for point in plan.points if point not in known)]
    if any(trial.params != point for trial, point in zip(finals.trials.values(), points, strict=False)):
        return 0  # an earlier version began these finals, and took nothing over
    plan.points = points
    if len(finals.trials) >= len(found) and not any(finals.trials[number].running for number in range(len(found))):
        return len(found)
    for folder in {kept.earlier for _, kept in found}:
        numbers = {str(kept.number): new for new, (_, kept) in enumerate(found) if kept.earlier == folder}
        write_sealed(folder / TAKEN_FINALS, numbers)
    journal = Journal(earlier.run_dir / "finals.jsonl")
    for number, (_, kept) in enumerate(found):
        _take(kept, number, points[number], plan, finals, journal)
    journal.close()
    return len(found)


def _take(kept: KeptTraining, number: int, params: Params, plan: FinalsPlan, finals: Study, journal: Journal) -> None:
    """Add one training, or complete it."""
    trial = finals.trials.get(number)
    if trial is not None and not trial.running:
        return
    run_dir = journal.file.parent
    target = run_dir / "finals" / str(number)
    remove(target)
    shutil.copytree(kept.folder, target, copy_function=link)
    sync_tree(target)
    if trial is None:
        origin = f"{kept.earlier.relative_to(run_dir)}, final {kept.number}"
        trial = finals.add(params, plan.distributions, attributes=Attributes(taken_from=origin))
    unit, metric = kept.config.training.unit, plan.metric
    for line in kept.lines:
        journal.append(replace(line, trial=number))
        if (progress := line.report.progress(unit)) > trial.progress:
            finals.report(trial, progress, line.report.score(metric))
    finals.finish(trial, Outcome.COMPLETED)


def _matching(earlier: Earlier, experiment: Experiment, plan: FinalsPlan) -> Iterator[tuple[Params, KeptTraining]]:
    """The points that the plan may have whose training is there already, the newest if there are several."""
    if experiment.storage is not None:  # the checkpoints are elsewhere
        return
    kept = [training for folder in reversed(earlier.folders) for training in _kept(earlier, folder)]
    for point in plan.possible:
        config = plan.config(point)
        for training in kept:
            if training.config == config and training.has_checkpoints(experiment.finals.last_checkpoints):
                yield point, training
                break


def _kept(earlier: Earlier, folder: Path) -> Iterator[KeptTraining]:
    """The completed trainings of the finals in a folder of earlier/."""
    if not (folder / "finals.jsonl").exists() or not (folder / "finals").is_dir():
        return
    old = stored_experiment(folder)
    finalists = {finalist.trial: finalist.params for finalist in read_finalists(folder / "finalists.json")}
    study = Study(earlier.study_file(folder), earlier.finals_name_of(folder), old.search.direction, mode="read")
    lines = read_lines(folder / "finals.jsonl")
    for trial in study.trials.values():
        if trial.outcome == Outcome.COMPLETED:  # a failed one is tried again
            params = finalists[int(str(trial.params["finalist"]))]
            config = old.trial.with_values({**params, "seed": trial.params["seed"]})
            yield KeptTraining(
                folder, trial.number, config, tuple(line for line in lines if line.trial == trial.number)
            )
    study.close()
