"""Exports the best model of a search: what its model card says, and the exports at the end (finals.export)."""

from pathlib import Path

from search.finals.board import Leaderboard, LeaderboardEntry, read_leaderboard
from search.settings.experiment import Experiment
from search.translation.best import BestModel
from search.translation.finals_config import as_translation_finals
from trainables.base.errors import UserError
from trainables.base.files import remove
from trainables.base.log import say, warn
from trainables.data.corpora.cache import cached_corpus
from trainables.export.card import Origin
from trainables.export.checking import Comparison
from trainables.export.exporting import Wish, export
from trainables.export.trained import TrainedModel

FOLDER = "export"  # in a run directory


def export_model(best: BestModel, wish: Wish, origin: Origin, cache: Path) -> dict[str, Comparison]:
    """Export a model, checked on the validation split of its corpus; see `export`. Raises UserError."""
    decoding = best.decoding
    trained = TrainedModel(best.config, best.model, best.tokenizer, decoding.beam_size, decoding.length_penalty)
    wish.check(trained)  # before the corpus is read
    return export(trained, wish, cached_corpus(best.config.data, cache).valid, origin)


def export_best(best: BestModel, experiment: Experiment) -> None:
    """Write the exports that `finals.export` asks for into the run, in place of earlier ones; warns if one fails.

    best: the model that the leaderboard chose, which must be written.
    """
    for form in as_translation_finals(experiment.finals).export:
        folder = experiment.run_dir / FOLDER / form
        remove(folder)
        board = read_leaderboard(experiment.run_dir / "leaderboard.json")
        try:
            origin = describe(experiment, board, board.best)
            found = export_model(best, Wish(form, folder), origin, experiment.cache)
        except UserError as error:
            warn(f"finals.export: {form}: {error}")
        else:
            say(
                "".join(f"{form}: {name} has valid BLEU {each.bleu:.2f}\n" for name, each in found.items())
                + str(folder)
            )


def describe(experiment: Experiment, board: Leaderboard, entry: LeaderboardEntry) -> Origin:
    """What the model card says of a finalist."""
    low, high = entry.score_ci
    level, seeds = board.significance.level, len(entry.seeds)
    scores = {f"test BLEU, mean of {seeds} seeds" if seeds > 1 else "test BLEU": f"{entry.score:.2f}"}
    scores |= {f"{level:.0%} interval": f"{low:.2f} to {high:.2f}"}
    names = {"test_chrf": "test chrF++", "test_ter": "test TER", "test_neural": "test neural metric"}
    scores |= {
        title: f"{value:.2f}"
        for key, title in names.items()
        if isinstance(value := entry.figures.get(key), int | float)
    }
    scores |= {f"signature of {name}": text for name, text in board.signatures.items()}
    size, cost, search = board.corpus, board.search, experiment.search
    assert size
    corpus = (
        f"{size.path.rstrip('/').rpartition('/')[2]}: {size.train_pairs:,} training pairs, {size.valid_pairs:,} for "
        f"validation, {size.test_pairs:,} for the test."
    )
    found = (
        f"By babeltune, rank {entry.rank} of {len(board.ranking)} finalists of a search of {cost.trials} trials "
        f"(sampler {search.sampler.kind}, scheduler {search.scheduler.kind}), which trained "
        f"{cost.epochs_trained:,.0f} epochs. The finalists were chosen on the validation split and ranked on the test "
        "split."
    )
    return Origin(f"trial {entry.trial} of the search {board.experiment}", corpus, scores, found)
