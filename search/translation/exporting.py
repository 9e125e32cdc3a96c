"""Exports the best model of a search: what its model card says, and the exports at the end (finals.export)."""

from search.finals.board import Leaderboard, LeaderboardEntry, read_leaderboard
from search.settings.experiment import Experiment
from search.settings.goals import SECONDS
from search.translation.finals_config import as_translation_finals
from search.translation.systems import Systems
from trainables.base.errors import UserError
from trainables.base.files import remove
from trainables.base.log import say, warn
from trainables.export.card import Origin
from trainables.export.exporting import Destination

FOLDER = "export"  # in a run directory


def export_best(systems: Systems, experiment: Experiment) -> None:
    """Write the exports of best/ that `finals.export` asks for into the run, in place of earlier ones.

    Warns if one fails. The leaderboard must be written.
    """
    for form in as_translation_finals(experiment.finals).export:
        folder = experiment.run_dir / FOLDER / form
        remove(folder)
        board = read_leaderboard(experiment.run_dir / "leaderboard.json")
        try:
            origin = describe(experiment, board, board.best)
            best = systems.read_best(experiment)
            found = systems.export(best, Destination(form, folder), origin, experiment.cache)
        except UserError as error:
            warn(f"finals.export: {form}: {error}")
        else:
            say(
                "".join(f"{form}: {name} has valid BLEU {each.bleu:.2f}\n" for name, each in found.items())
                + str(folder)
            )


def describe(experiment: Experiment, board: Leaderboard, entry: LeaderboardEntry) -> Origin:
    """What the model card says of a finalist."""
    figures = {board.metric: entry.score, **entry.figures}
    intervals = {board.metric: entry.score_ci, **entry.intervals}
    shown = {*intervals, *(name for name in figures if name.startswith("test_")), SECONDS}
    scores = {
        name: f"{value:.4g}{_between(intervals[name], board.significance.level) if name in intervals else ''}"
        for name, value in figures.items()
        if name in shown and value is not None
    }
    scores |= {f"signature of {name}": text for name, text in board.signatures.items()}
    size, cost, search = board.corpus, board.search, experiment.search
    assert size
    corpus = (
        f"{size.path.rstrip('/').rpartition('/')[2]}: {size.train_pairs:,} training pairs, {size.valid_pairs:,} for "
        f"validation, {size.test_pairs:,} for the test."
    )
    seeds = len(entry.seeds)
    means = f" Scores are means of {seeds} models with other seeds." if seeds > 1 else ""
    found = (
        f"By babeltune, rank {entry.rank} of {len(board.ranking)} finalists of a search of {cost.trials} trials "
        f"(sampler {search.sampler.kind}, scheduler {search.scheduler.kind}), which trained "
        f"{cost.epochs_trained:,.0f} epochs. The finalists were chosen on the validation split and ranked on the test "
        "split."
    )
    return Origin(f"trial {entry.trial} of the search {board.experiment}", corpus, scores, found + means)


def _between(ends: tuple[float, float], level: float) -> str:
    low, high = ends
    return f" ({level:.0%} interval {low:.4g} to {high:.4g})"
