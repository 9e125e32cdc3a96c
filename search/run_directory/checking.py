"""Checks that study, journals and frozen finalists of a run agree, as its drivers wrote them.

By the order of writes the journal may be ahead of the study; nothing else may differ.
"""

import math
from pathlib import Path

from search.finals.choosing import Finalist, read_finalists
from search.record.journal import JournalLine, read_lines
from search.record.study import Study
from search.record.study_writer import STATES
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from trainables.base.errors import UserError
from trainables.base.files import parse_json, read_bytes
from trainables.base.outcomes import Outcome
from trainables.base.sealing import RESTORE, Damaged, unsealed


def open_run(run_dir: Path) -> tuple[Experiment, Study]:
    """The experiment of a run and the study of its search, checked and read-only. Raises UserError."""
    experiment = stored_experiment(run_dir)
    if not (run_dir / "study.db").is_file():
        raise UserError(f"{run_dir}: holds no study.db; name a run that has begun")
    study = Study(run_dir / "study.db", "search", experiment.search.direction, mode="read")
    lines = check_study(study, run_dir / "trials.jsonl", experiment)
    study.recall(lines, experiment.search.compared_by)
    return experiment, study


def check_study(study: Study, journal: Path, experiment: Experiment) -> list[JournalLine]:
    """The lines of the study's journal. Raises Damaged if study or journal is inconsistent, or they disagree."""
    lines = read_lines(journal)
    unit, metric = experiment.training.unit, experiment.search.metric
    reported: dict[tuple[int, int], float] = {}
    for line in lines:
        if line.trial not in study.trials:
            raise Damaged(f"{study.file}: lacks trial {line.trial}, but {journal.name} has a report of it; {RESTORE}")
        if metric not in line.report.figures:
            raise Damaged(f"{journal}: a report of trial {line.trial} lacks {metric}; {RESTORE}")
        reported[line.trial, line.report.progress(unit)] = line.report.score(metric)
    for trial in study.trials.values():
        if wrong := _contradiction(trial, study):
            raise Damaged(f"{study.file}: trial {trial.number} {wrong}; {RESTORE}")
        for progress, score in trial.scores.items():
            if progress <= trial.inherited:
                parent = study.parent(trial)
                known = parent.scores.get(progress) if parent else None
            elif (trial.number, progress) in reported:
                known = reported[trial.number, progress]
            else:
                raise Damaged(f"{journal}: lacks the report of trial {trial.number} at {unit} {progress}; {RESTORE}")
            if known != score:
                raise Damaged(
                    f"{study.file}: trial {trial.number} has {metric} {score} at {unit} {progress}, but {journal.name} "
                    f"says {known}; {RESTORE}"
                )
    return lines


def _contradiction(trial: StudyTrial, study: Study) -> str | None:
    """What is wrong with a trial, as the rest of a sentence that begins with its name; None if nothing is."""
    attributes, outcome = trial.attributes, trial.attributes.outcome
    if not trial.is_sealed:
        return "has other values than it was created with"
    for key, value in attributes.others.items():
        return f"has an attribute {key!r} with the value {value!r}, which no driver writes"
    for rung in attributes.passed - trial.scores.keys():
        return f"is said to have passed {rung}, where it has no score"
    if not trial.running:
        if outcome is None or STATES[trial.outcome] != trial.state:
            return f"is {trial.state.name} though its outcome is {outcome!r}"
        last = trial.scores.get(trial.progress, math.nan)
        if outcome in (Outcome.COMPLETED, Outcome.STOPPED) and math.isfinite(last) and trial.value != last:
            return f"ended with {trial.value}, but its last score is {last}"
    return None


def check_finalists(file: Path, search: Study) -> list[Finalist]:
    """The frozen finalists. Raises Damaged if they are not trials of the search."""
    finalists = read_finalists(file)
    for finalist in finalists:
        trial = search.trials.get(finalist.trial)
        if trial is None or trial.params != finalist.params or trial.scores.get(trial.progress) != finalist.score:
            raise Damaged(f"{file}: trial {finalist.trial} is another one in {search.file}; {RESTORE}")
    return finalists


def check_frozen(run_dir: Path, frozen_before: list[str]) -> None:
    """Check that the finalists are there for which the test split was opened. Raises Damaged.

    frozen_before: when the finalists of earlier finals were frozen.
    """
    file, opened = run_dir / "finalists.json", run_dir / "test_opened.jsonl"
    openings = []
    # An incomplete last line is from a crash before the test split was opened.
    for number, line in enumerate(read_bytes(opened).split(b"\n")[:-1] if opened.exists() else [], 1):
        where = f"{opened}: line {number}"
        try:
            openings.append(unsealed(parse_json(line), where)["frozen_at"])
        except (ValueError, KeyError):
            raise Damaged(f"{where} is damaged; {RESTORE}") from None
    unknown = set(openings) - set(frozen_before)
    if unknown and not file.exists():
        raise Damaged(f"{file}: is missing, though the test split was opened for it on {max(unknown)}; {RESTORE}")
    if file.exists() and not openings and any(run_dir.glob("[tf]*/*/test.json")):
        raise Damaged(f"{opened}: is missing, though there are results of the test split; {RESTORE}")
