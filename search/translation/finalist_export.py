"""Exports a finalist of a run that has ended."""

from pathlib import Path

from search.finals.board import Leaderboard, LeaderboardEntry, read_leaderboard
from search.finals.choosing import read_finalists
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel
from search.settings.experiment import Experiment
from search.settings.stored import stored_experiment
from search.translation.exporting import describe
from search.translation.finals import choose_best
from search.translation.finals_config import Decoding
from search.translation.ranked import models_to_load
from search.translation.scoring import known_on_test
from search.translation.systems import Systems
from trainables.base.errors import UserError
from trainables.base.installed import program
from trainables.base.translator_config import TranslatorConfig
from trainables.export.checking import Comparison
from trainables.export.exporting import Destination


def export_run(run_dir: Path, destination: Destination, trial: int | None = None) -> dict[str, Comparison]:
    """Export the best model of a run, or another finalist's best one.

    Args:
        run_dir: A search that has ended.
        destination: Where to, and in which form.
        trial: The finalist; the best one by default.

    Returns:
        How the translations of the validation split compare with the model's own, by the type of weights.

    Raises:
        UserError: If there is no such model, or it can't be exported.
    """
    experiment = stored_experiment(run_dir)
    if not issubclass(experiment.definition.config, TranslatorConfig):
        raise UserError(f"{run_dir}: is a search for {experiment.definition.title}, whose models have no other form")
    board = read_leaderboard(run_dir / "leaderboard.json")
    entry = _entry(board, board.chosen if trial is None else trial)
    systems: Systems = experiment.definition.part("finals").systems
    if entry.trial == board.chosen:
        best = systems.read_best(experiment)
    else:
        best = systems.read_finalist(*best_seed(experiment, entry), experiment.cache)
    return systems.export(best, destination, describe(experiment, board, entry), experiment.cache)


def _entry(board: Leaderboard, trial: int) -> LeaderboardEntry:
    found = {entry.trial: entry for entry in board.ranking}
    if trial not in found:
        raise UserError(
            f"--trial: {trial} is not a finalist of {board.experiment}; it has {', '.join(map(str, found))}"
        )
    return found[trial]


def best_seed(experiment: Experiment, entry: LeaderboardEntry) -> tuple[FinalModel, Decoding]:
    """The training of a finalist that is best on the validation split, with its decoding. Raises UserError."""
    models = models_to_load(experiment, entry, "export the best one, without --trial")
    results = [known_on_test(model) for model in models]
    if None in results:
        again = f"`{program('resume')} {experiment.run_dir}` writes them again"
        raise UserError(f"{models[0].folder.parent}: lacks the results of trial {entry.trial}; {again}")
    finalists = {finalist.trial: finalist for finalist in read_finalists(experiment.run_dir / "finalists.json")}
    model, result = choose_best(Entry(finalists[entry.trial], models, results), experiment.search)
    return model, result.decoding
