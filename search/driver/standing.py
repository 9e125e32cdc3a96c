"""A ranking that stands: an extended search has chosen the finalists of its earlier finals again.

Then nothing is trained and the test data are not opened: the ranking, the best model and what the report says of them
are taken over from the folder in earlier/.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from search.driver.concluding import Remarks, Results, search_cost, write_findings
from search.finals.board import Leaderboard, read_leaderboard
from search.finals.choosing import Finalist, read_finalists
from search.finals.leaderboard import store_leaderboard
from search.finals.protocol import Finals
from search.finals.rounds import FILE as RACE
from search.record.study import Study
from search.report.page import Findings
from search.report.rewriting import ABOUT_RANKING, FIELDS, kept_findings
from search.run_directory.changes import INDIFFERENT
from search.run_directory.earlier import TAKEN_FINALS, Earlier, link
from search.run_directory.inputs import read_starts
from search.settings.experiment import Experiment
from search.settings.searchable import is_among
from search.settings.stored import stored_experiment
from trainables.base.config import flatten
from trainables.base.files import publish_folder, read_bytes, remove, write_atomically
from trainables.base.outcomes import Outcome
from trainables.base.sealing import read_sealed

FROZEN, BOARD = "finalists.json", "leaderboard.json"
PLACE = ("name", "output_dir")
# Keys that decide which trials there are, and nothing about the finals.
OF_TRIALS = tuple(
    f"search.{key}"
    for key in (
        *("trials", "first", "where", "stop_when_settled", "exportable", "seed", "sampler", "scheduler"),
        *(f"budget.{limit}" for limit in ("epochs", "gpu_hours", "dollars", "wall_hours")),
    )
)


def find_standing(earlier: Earlier, experiment: Experiment, finalists: list[Finalist]) -> Path | None:
    """The folder in earlier/ whose ranking is that of these finalists; None if they have to be ranked again."""
    folder = earlier.folders[-1] if earlier.folders else None
    if folder is None or experiment.storage is not None or not (folder / BOARD).exists():
        return None
    if not (folder / "best").is_dir() or ABOUT_RANKING not in kept_findings(folder):
        return None
    old = stored_experiment(folder)
    before, after = flatten(old.model_dump()), flatten(experiment.model_dump())
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    if any(key == "finals.export" or not is_among(key, (*OF_TRIALS, *INDIFFERENT, *PLACE)) for key in changed):
        return None
    if read_finalists(folder / FROZEN) != finalists or not _is_complete(earlier, folder, old):
        return None
    return folder


def _is_complete(earlier: Earlier, folder: Path, old: Experiment) -> bool:
    """Whether all trainings of the finals were completed: one that failed is tried again."""
    study = Study(earlier.study_file(folder), earlier.finals_name_of(folder), old.search.direction, mode="read")
    try:
        return all(trial.outcome == Outcome.COMPLETED for trial in study.trials.values())
    finally:
        study.close()


def keep_frozen(folder: Path, run_dir: Path) -> None:
    """Take the finalists over as they were frozen, so that no further ranking is counted."""
    for name in (RACE, FROZEN):  # the last one says that the finals have begun
        if (folder / name).exists():
            write_atomically(run_dir / name, read_bytes(folder / name))


def standing_folder(earlier: Earlier) -> Path | None:
    """The folder in earlier/ from which `keep_frozen` took the finalists of the run; None if they are its own."""
    frozen = earlier.run_dir / FROZEN
    folders = [folder for folder in reversed(earlier.folders) if (folder / FROZEN).exists()]
    known = (folder for folder in folders if read_bytes(folder / FROZEN) == read_bytes(frozen))
    return next(known, None)


def conclude_standing(folder: Path, experiment: Experiment, results: Results, remarks: Remarks) -> Leaderboard:
    """Write leaderboard, best/ and report.html with the ranking of the folder in earlier/, and the present search."""
    run_dir = experiment.run_dir
    ways: Finals = experiment.definition.part("finals")
    by, kept, board = ways.metrics(experiment)[0], kept_findings(folder), read_leaderboard(folder / BOARD)
    numbers: dict[str, int] = read_sealed(folder / TAKEN_FINALS) if (folder / TAKEN_FINALS).exists() else {}
    ranking = [
        replace(entry, final_trials=[numbers.get(str(number), number) for number in entry.final_trials])
        for entry in board.ranking
    ]
    about: list[str] = kept[ABOUT_RANKING]
    cost = search_cost(experiment, results)
    board = replace(board, ranking=ranking, search=cost, notes=[*remarks.notes, *about])
    store_leaderboard(run_dir, board)
    _keep_models(folder, run_dir)
    found = Findings(
        experiment=experiment,
        trials=list(results.study.trials.values()),
        reports=results.trials,
        finals=results.finals,
        leaderboard=board,
        by=by,
        starts=read_starts(run_dir),
        **{**{name: kept[name] for name in FIELDS}, "spending": remarks.spending, "planned": remarks.planned},
    )
    write_findings(found, about)
    return board


def _keep_models(folder: Path, run_dir: Path) -> None:
    """Take over the best model, its exports, and measured speeds."""
    for name in ("best", "export"):
        if (folder / name).is_dir():
            draft = run_dir / f".{name}.draft"
            remove(draft)
            shutil.copytree(folder / name, draft, copy_function=link)
            publish_folder(draft, run_dir / name)
    speeds = "finalist_speeds.json"
    if (folder / speeds).exists():
        write_atomically(run_dir / speeds, read_bytes(folder / speeds))
