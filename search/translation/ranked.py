"""The models of a ranking, as they are in the run."""

from functools import partial

from search.finals.board import LeaderboardEntry
from search.finals.stages import FinalModel
from search.record.journal import JournalLine, read_lines
from search.settings.experiment import Experiment


def ranked_models(experiment: Experiment, entry: LeaderboardEntry) -> list[FinalModel]:
    """The models of an entry of the ranking, one for each seed, with what was reported of them."""
    kind = "final" if entry.final_trials else "trial"
    lines = read_lines(experiment.run_dir / f"{kind}s.jsonl")
    made = partial(_model, experiment, entry, f"{kind}s", lines)
    return [made(*pair) for pair in zip(entry.final_trials or [entry.trial], entry.seeds, strict=True)]


def _model(
    experiment: Experiment, entry: LeaderboardEntry, folder: str, lines: list[JournalLine], number: int, seed: int
) -> FinalModel:
    return FinalModel(
        problem=experiment.problem,
        config=experiment.trial.with_values({**entry.config, "seed": seed}),
        trial=entry.trial,
        number=number,
        train_seconds=0.0,
        folder=experiment.run_dir / folder / str(number),
        lines=[line for line in lines if line.trial == number],
        last_checkpoints=experiment.finals.last_checkpoints,
    )
