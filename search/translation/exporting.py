"""Exports a finalist of a run: which model that is, and what its model card says of it."""

from pathlib import Path

from search.finals.board import Leaderboard, LeaderboardEntry, read_leaderboard
from search.finals.choosing import read_finalists
from search.finals.leaderboard import Entry
from search.finals.stages import FinalModel
from search.record.journal import read_lines
from search.settings.experiment import Experiment
from search.settings.problem import TRANSLATION
from search.settings.stored import stored_experiment
from search.translation.best import BestModel, read_best
from search.translation.finals import choose_best
from search.translation.scoring import known_on_test, load_final
from trainables.base.checkpoint_files import last_checkpoints
from trainables.base.errors import UserError
from trainables.base.installed import program
from trainables.base.translation_config import as_translation
from trainables.data.corpora.cache import cached_corpus
from trainables.export.card import Origin
from trainables.export.checking import Comparison
from trainables.export.exporting import Wish, export
from trainables.export.trained import TrainedModel


def export_run(run_dir: Path, wish: Wish, trial: int | None = None) -> dict[str, Comparison]:
    """Export the best model of a run, or another finalist's best one.

    Args:
        run_dir: A search that has ended.
        wish: What is to be exported where.
        trial: The finalist; the best one by default.

    Returns:
        How the translations of the validation split compare with the model's own, by the type of weights.

    Raises:
        UserError: If there is no such model, or it can't be exported.
    """
    experiment = stored_experiment(run_dir)
    if experiment.problem != TRANSLATION:
        raise UserError(f"{run_dir}: is a search for {experiment.definition.title}, whose models have no other form")
    board = read_leaderboard(run_dir / "leaderboard.json")
    entry = _entry(board, board.ranking[0].trial if trial is None else trial)
    best = read_best(run_dir) if entry is board.ranking[0] else _read_finalist(experiment, entry)
    decoding = best.decoding
    trained = TrainedModel(best.config, best.model, best.tokenizer, decoding.beam_size, decoding.length_penalty)
    wish.check(trained)  # before the corpus is read
    valid = cached_corpus(best.config.data, experiment.cache).valid
    return export(trained, wish, valid, describe(experiment, board, entry))


def _entry(board: Leaderboard, trial: int) -> LeaderboardEntry:
    found = {entry.trial: entry for entry in board.ranking}
    if trial not in found:
        raise UserError(
            f"--trial: {trial} is not a finalist of {board.experiment}; it has {', '.join(map(str, found))}"
        )
    return found[trial]


def _read_finalist(experiment: Experiment, entry: LeaderboardEntry) -> BestModel:
    """The model of a finalist's best seed on the validation split, from its checkpoints. Raises UserError."""
    kind, numbers = ("final", entry.final_trials) if entry.final_trials else ("trial", [entry.trial])
    journal, folder = experiment.run_dir / f"{kind}s.jsonl", experiment.run_dir / f"{kind}s"
    lines, averaged = list(read_lines(journal)), experiment.finals.last_checkpoints
    models = []
    for number, seed in zip(numbers, entry.seeds, strict=True):
        if not last_checkpoints(folder / str(number), averaged):
            raise UserError(
                f"{folder / str(number)}: has no checkpoint of trial {entry.trial} any more (`{program('clean')}` "
                "removes those of all finalists but the best); export the best one, without --trial"
            )
        models.append(
            FinalModel(
                problem=experiment.problem,
                config=experiment.trial.with_values({**entry.config, "seed": seed}),
                trial=entry.trial,
                number=number if kind == "final" else None,
                train_seconds=0.0,
                folder=folder / str(number),
                lines=tuple(line for line in lines if line.trial == number),
                last_checkpoints=averaged,
            )
        )
    results = [known_on_test(model) for model in models]
    if None in results:
        again = f"`{program('resume')} {experiment.run_dir}` writes them again"
        raise UserError(f"{folder}: lacks the results of trial {entry.trial}; {again}")
    finalists = {finalist.trial: finalist for finalist in read_finalists(experiment.run_dir / "finalists.json")}
    model, result = choose_best(Entry(finalists[entry.trial], models, results))
    network, tokenizer = load_final(model, experiment.cache)
    return BestModel(as_translation(model.config), network, tokenizer, result.decoding)


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
