"""The leaderboard as a value: the content of leaderboard.json, which is a public interface (docs/design.md)."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from search.finals.significance import Comparison
from search.space.space import Params
from trainables.base.sealing import Damaged, read_sealed


@dataclass(frozen=True)
class DataSize:
    """What was trained and scored on: parallel text."""

    path: str
    source: str
    target: str
    train_pairs: int
    valid_pairs: int
    test_pairs: int


@dataclass(frozen=True)
class Cost:
    """What the search spent, without the finals."""

    trials: int
    epochs_trained: float  # whole unless reports come by steps
    epochs_full: float  # had every trial been trained to the end
    gpu_seconds: float  # device time of all trials; of CPU slots where there is no GPU
    wall_seconds: float


@dataclass(frozen=True)
class LeaderboardEntry:
    """A finalist in the ranking. Scores are means over its seeds."""

    rank: int
    group: int  # from 1; those of one group can't be told apart
    trial: int
    config: Params
    seeds: list[int]
    final_trials: list[int]  # the numbers of its retrainings in finals.jsonl
    score: float  # on the test data, by the metric of the ranking
    score_std: float | None  # None for one seed
    score_ci: tuple[float, float]
    figures: dict[str, float | None]  # what else was measured, by name; None where it could not be
    num_parameters: int | None  # None where the problem does not say it
    train_seconds: float
    pareto: bool  # no other finalist is at least as good in score and parameters, and better in one
    untrained: bool  # it has learnt nothing

    def stored(self, metric: str) -> dict[str, Any]:
        """As it stands in leaderboard.json; metric: the name of the score, such as test_bleu."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        scores = {f"{metric}{key}": values.pop(f"score{key}") for key in SCORE}
        figures = values.pop("figures")
        rest = {key: values.pop(key) for key in ("num_parameters", "train_seconds", "pareto", "untrained")}
        return {**values, **scores, **figures, **rest}


SCORE = ("", "_std", "_ci")  # what follows the name of the score in leaderboard.json


@dataclass(frozen=True)
class Significance:
    """How intervals and p-values were computed, and how much the score varies among seeds."""

    level: float
    resamples: int
    shuffles: int
    seed: int
    std_of_seeds: float | None  # of the score; None with one seed each
    degrees_of_freedom: int


@dataclass(frozen=True)
class Leaderboard:
    """The ranking and what it rests on."""

    experiment: str
    metric: str  # the name of the score, such as test_bleu
    corpus: DataSize | None  # None where the problem does not say it
    signatures: dict[str, str]  # how scores were computed, such as sacreBLEU's, by score
    search: Cost
    decided_by: str  # the metric, unless that tells nothing
    notes: list[str]  # sentences on what else is to be known
    ranking: list[LeaderboardEntry]  # the best first
    comparisons: list[Comparison]  # of all pairs, by their trials
    significance: Significance

    def stored(self) -> dict[str, Any]:
        """As it stands in leaderboard.json."""
        record = asdict(self)
        significance = record["significance"]
        noise = {f"{_short(self.metric)}_std_of_seeds": significance.pop("std_of_seeds")}
        ranking = [entry.stored(self.metric) for entry in self.ranking]
        return {**record, "ranking": ranking, "significance": {**significance, **noise}}


def read_leaderboard(file: Path) -> Leaderboard:
    """What `Leaderboard.stored` gave, also of version 0.1. Raises Damaged."""
    record = read_sealed(file)
    try:
        metric = record.get("metric", "test_bleu")
        significance = dict(record["significance"])
        noise = significance.pop(f"{_short(metric)}_std_of_seeds")
        corpus = record.get("corpus")
        return Leaderboard(
            record["experiment"],
            metric,
            None if corpus is None else DataSize(**corpus),
            record["signatures"],
            Cost(**record["search"]),
            record.get("decided_by", metric),
            record.get("notes", []),
            [_read_entry(entry, metric) for entry in record["ranking"]],
            [Comparison(**{**pair, "ci": tuple(pair["ci"])}) for pair in record["comparisons"]],
            Significance(**significance, std_of_seeds=noise),
        )
    except (TypeError, KeyError):
        raise Damaged(f"{file}: is damaged: not what was written there; restore it from a copy") from None


def _short(metric: str) -> str:
    """test_bleu -> bleu."""
    return metric.removeprefix("test_")


def _read_entry(stored: dict[str, Any], metric: str) -> LeaderboardEntry:
    values = {"untrained": False, **stored}  # since version 0.1
    score, std, (low, high) = (values.pop(f"{metric}{key}") for key in SCORE)
    known = {field.name for field in fields(LeaderboardEntry)} & values.keys()
    figures = {key: value for key, value in values.items() if key not in known}
    named = {key: values[key] for key in known}
    return LeaderboardEntry(**named, score=score, score_std=std, score_ci=(low, high), figures=figures)
