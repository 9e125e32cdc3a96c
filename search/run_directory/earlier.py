"""What a run had before it was extended, kept in earlier/1, earlier/2, …: its finals, and perhaps its study.

A move begins with a folder that records what is to be moved, and ends when that folder gets its final name. A kill in
between does no harm, as the next driver first completes the move.
"""

import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from search.engine.proposals import express
from search.record.budget import Spent, spent_on
from search.record.journal import Journal, Totals, read_lines
from search.record.study import Study
from search.record.trial import StudyTrial
from search.run_directory.changes import Change, find_change
from search.run_directory.checking import check_study
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment, write_experiment
from trainables.base.files import create_folder, publish_folder, remove, sync, sync_tree
from trainables.base.sealing import read_sealed, write_sealed

FINALS = (
    "finalists.json",
    "race.json",
    "finals.jsonl",
    "finals",
    "leaderboard.json",
    "leaderboard.csv",
    "trials.csv",
    "best",
    "export",
    "report.html",
    "report.json",
    "finalist_speeds.json",
)
TAKEN_FINALS = "taken_finals.json"  # the trainings of earlier finals that later ones have taken over
STUDY = ("study.db", "study.db-wal", "study.db-shm", "trials.jsonl", "trials", "speeds.json")


class Earlier:
    """The folder earlier/ of a run. record.json in each of its folders says what was moved, and what finals cost."""

    def __init__(self, run_dir: Path):
        self.run_dir, self.folder = run_dir, run_dir / "earlier"
        self.moving = self.folder / "moving"

    def recover(self) -> None:
        """Complete a move that a killed driver began. The lock of the run directory must be held."""
        if self.moving.exists():
            self._end_move()

    @property
    def folders(self) -> list[Path]:
        """Its folders, the oldest first."""
        numbers = (path.name for path in self.folder.glob("*") if path.name.isdigit())
        return [self.folder / str(n) for n in sorted(map(int, numbers))]

    @property
    def finals_name(self) -> str:
        """The name of the study of the finals; each extension has a new one."""
        return self.finals_name_of(self.folder / str(len(self.folders) + 1))

    def finals_name_of(self, folder: Path) -> str:
        """The name of the study of the finals in one of the folders."""
        return "finals" if folder.name == "1" else f"finals-{folder.name}"

    def study_file(self, folder: Path) -> Path:
        """The file with the study of the finals in one of the folders: a later move may have taken it along."""
        later = self.folders[int(folder.name) - 1 :]
        return next((each / "study.db" for each in later if (each / "study.db").exists()), self.run_dir / "study.db")

    @property
    def studies(self) -> int:
        """The number of studies before the present one."""
        return sum(_record(folder)["study"] for folder in self.folders)

    def test_opened(self) -> list[str]:
        """The times at which earlier finalists were frozen; since then the test split could be read."""
        files = [folder / "finalists.json" for folder in self.folders]
        times = [read_sealed(file)["frozen_at"] for file in files if file.exists()]
        return list(dict.fromkeys(times))  # a ranking that stood after an extension is one

    def spent(self) -> Spent:
        """What earlier finals cost, and the trials that were not taken over."""
        total = Spent()
        for folder in self.folders:
            record = _record(folder)
            total += Spent(**record["finals_spent"]) + _taken_finals(folder)
            if record["study"]:
                taken = set(map(int, read_sealed(folder / "taken.json")))
                lines = [line for line in read_lines(folder / "trials.jsonl") if line.trial not in taken]
                study = Study(folder / "study.db", "search", stored_experiment(folder).search.direction, mode="read")
                total += replace(spent_on(study, Totals(lines)), wall_seconds=0)  # the new study counts on from there
                study.close()
        return total

    def moves(self, experiment: Experiment) -> bool:
        """Whether extending the run to this experiment moves or copies anything."""
        if not (self.run_dir / "study.db").exists() or self.waiting:
            return self.waiting is not None
        change = find_change(self._stored(experiment), experiment)
        return change is Change.NEW_STUDY or (change is Change.GOES_ON and (self.run_dir / "finalists.json").exists())

    def extend(self, experiment: Experiment) -> list[str]:
        """Write the experiment of the run, and move what a change has ended. Returns sentences for the user."""
        self.recover()
        done = []
        if (self.run_dir / "study.db").exists() and not self.waiting:
            stored = self._stored(experiment)
            if self.moves(experiment):
                self._begin_move(stored, study=find_change(stored, experiment) is Change.NEW_STUDY)
        write_experiment(self.run_dir / "experiment.yaml", experiment)
        if self.moving.exists():
            self._end_move()
            done.append(f"the search is extended; its earlier results are in {self.folders[-1]}")
        if self.waiting:
            fit, trials = self._take_over(experiment)
            done.append(f"{fit} of {trials} trials fit the changed space and base, and are taken over")
        return done

    def _stored(self, experiment: Experiment) -> Experiment:
        return stored_experiment(self.run_dir, experiment.run_url if experiment.storage else None)

    def _begin_move(self, stored: Experiment, study: bool) -> None:
        """Record that the finals are to be moved, and, if `study`, the study of the stored experiment."""
        finals = Study(self.run_dir / "study.db", self.finals_name, stored.search.direction)
        cost = spent_on(finals, Totals(read_lines(self.run_dir / "finals.jsonl")))
        finals.close()
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        create_folder(draft)
        record = {"moved_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "study": study, "finals_spent": asdict(cost)}
        write_sealed(draft / "record.json", record)
        write_experiment(draft / "experiment.yaml", stored)
        publish_folder(draft, self.moving)

    def _end_move(self) -> None:
        """Move the files that are not moved yet."""
        names = (*FINALS, *STUDY) if _record(self.moving)["study"] else FINALS
        for name in names:
            if (self.run_dir / name).exists():
                (self.run_dir / name).rename(self.moving / name)
        # Results of finals without retraining are beside the trials.
        for result in (file for trial in self.run_dir.glob("trials/*") for file in _results(trial)):
            target = self.moving / result.relative_to(self.run_dir)
            create_folder(target.parent)
            result.rename(target)
            sync(target.parent)
        sync(self.moving)
        self.moving.rename(self.folder / str(len(self.folders) + 1))
        sync(self.folder)

    @property
    def waiting(self) -> Path | None:
        """The folder of a study that was moved, but whose trials are not taken over yet."""
        folders = self.folders[-1:]
        return next((f for f in folders if _record(f)["study"] and not (f / "taken.json").exists()), None)

    def _take_over(self, new: Experiment) -> tuple[int, int]:
        """Begin the new study with the trials that fit of the one in `waiting`. Returns how many fit, of how many.

        They keep scores, outcome, attributes and checkpoints, but get new numbers and the attribute "taken_from".
        """
        folder = self.waiting
        assert folder
        old = stored_experiment(folder)
        for name in STUDY:  # from a take-over that was killed
            path = self.run_dir / name
            remove(path)
        before = Study(folder / "study.db", "search", old.search.direction, mode="read")
        lines = check_study(before, folder / "trials.jsonl", old)
        study = Study(self.run_dir / "study.db", "search", new.search.direction)
        distributions = new.space.to_optuna()
        numbers: dict[int, int] = {}
        for trial in before.trials.values():
            params = express(old.trial.with_values(trial.params), new)
            if params is None:
                continue
            copy = study.add(params, distributions)
            numbers[trial.number] = copy.number
            _copy(trial, study, copy, f"{folder.relative_to(self.run_dir)}, trial {trial.number}")
            checkpoints = folder / "trials" / str(trial.number)
            if checkpoints.exists():
                results = [result.name for result in _results(checkpoints)]
                ignored = shutil.ignore_patterns(*results)
                target = self.run_dir / "trials" / str(copy.number)
                shutil.copytree(checkpoints, target, ignore=ignored, copy_function=link)
        journal = Journal(self.run_dir / "trials.jsonl")
        for line in lines:
            known = before.trials[line.trial].scores
            if line.trial in numbers and line.report.progress(old.training.unit) in known:
                journal.append(replace(line, trial=numbers[line.trial]))
        study.set_wall_seconds(before.wall_seconds, before.idle_seconds)
        journal.close()
        study.close()
        before.close()
        if (self.run_dir / "trials").exists():
            sync_tree(self.run_dir / "trials")
            sync(self.run_dir)
        write_sealed(folder / "taken.json", {str(old): new for old, new in numbers.items()})
        return len(numbers), len(before.trials)


def _taken_finals(folder: Path) -> Spent:
    """What the trainings cost that later finals have taken over and count, as a negative sum."""
    if not (folder / TAKEN_FINALS).exists():
        return Spent()
    taken = set(map(int, read_sealed(folder / TAKEN_FINALS)))
    totals = Totals(line for line in read_lines(folder / "finals.jsonl") if line.trial in taken)
    return Spent(-totals.epochs, -totals.seconds)


def _results(folder: Path) -> list[Path]:
    """The results of a model on test splits."""
    return [file for file in sorted(folder.glob("*.json")) if file.name != "valid.json"]


def _copy(trial: StudyTrial, study: Study, copy: StudyTrial, origin: str) -> None:
    for progress, score in trial.scores.items():
        study.report(copy, progress, score)
    own = copy.attributes  # a sampler's memory is only valid for its own space
    known = replace(trial.attributes, outcome=None, message="", taken_from=origin, memory=own.memory, seal=own.seal)
    study.set_attributes(copy, known)
    if not trial.running:
        study.finish(copy, trial.outcome, trial.attributes.message)


def link(source: str, target: str) -> None:
    """Link a checkpoint, if possible; it is never changed in place, so no second copy is needed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _record(folder: Path) -> dict[str, Any]:
    return read_sealed(folder / "record.json")
