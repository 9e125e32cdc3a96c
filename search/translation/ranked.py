"""The models of a ranking, as they are in the run."""

from dataclasses import replace

from search.finals.board import LeaderboardEntry
from search.finals.stages import FinalModel
from search.record.journal import read_lines
from search.remote.fetching import storage_of
from search.settings.experiment import Experiment
from trainables.base.checkpoint_files import last_checkpoints
from trainables.base.errors import UserError
from trainables.base.installed import program
from trainables.sharing.checkpoint_places import Checkpoints


def ranked_models(experiment: Experiment, entry: LeaderboardEntry) -> list[FinalModel]:
    """The models of an entry of the ranking, one for each seed, with what was reported of them."""
    kind, numbers = ("final", entry.final_trials) if entry.final_trials else ("trial", [entry.trial])
    lines, folder = read_lines(experiment.run_dir / f"{kind}s.jsonl"), experiment.run_dir / f"{kind}s"
    return [
        FinalModel(
            problem=experiment.problem,
            config=experiment.trial.with_values({**entry.config, "seed": seed}),
            trial=entry.trial,
            number=number if kind == "final" else None,
            train_seconds=0.0,
            folder=folder / str(number),
            lines=tuple(line for line in lines if line.trial == number),
            last_checkpoints=experiment.finals.last_checkpoints,
        )
        for number, seed in zip(numbers, entry.seeds, strict=True)
    ]


def models_to_load(experiment: Experiment, entry: LeaderboardEntry, instead: str) -> list[FinalModel]:
    """As `ranked_models`, with checkpoints, here or in the storage of the run.

    instead: what to do if one was removed. Raises UserError.
    """
    models, storage = ranked_models(experiment, entry), storage_of(experiment)
    stored = Checkpoints(models[0].folder.parent, storage).numbers() if storage else set()
    for model in models:
        there = len(last_checkpoints(model.folder, model.last_checkpoints)) == model.last_checkpoints
        if not there and int(model.folder.name) not in stored:
            raise UserError(
                f"{model.folder}: has no checkpoint of trial {entry.trial} any more (`{program('clean')}` removes "
                f"those of all finalists but the best); {instead}"
            )
    return [replace(model, storage=storage) for model in models]
