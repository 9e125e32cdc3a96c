"""The content of leaderboard.json, which is a public interface (docs/reference/run.md)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from search.finals.comparison import Comparison
from search.settings.goals import PARAMETERS, TRAIN_SECONDS
from search.space.space import Params
from trainables.base.sealing import Damaged, read_sealed


@dataclass(frozen=True)
class DataSize:
    """The size of the parallel text that was used."""

    path: str
    source: str
    target: str
    train_pairs: int
    valid_pairs: int
    test_pairs: int
    other_tests: dict[str, int] = field(default_factory=dict)  # pairs of further tests

    def describe(self) -> str:
        """A line about the data, for the head of the report."""
        name = self.path.rstrip("/").rpartition("/")[2]
        return (
            f"{self.source} to {self.target}, {name}: {self.train_pairs:,} training, {self.valid_pairs:,} validation, "
            f"{' + '.join(f'{pairs:,}' for pairs in (self.test_pairs, *self.other_tests.values()))} test pairs"
        )


@dataclass(frozen=True)
class Cost:
    """What the search spent, without the finals."""

    trials: int
    epochs_trained: float  # whole unless reports come by steps
    epochs_full: float  # if every trial had been trained to the end
    gpu_seconds: float  # device time of all trials; without a GPU, the time in CPU slots
    wall_seconds: float
    idle_seconds: float = 0.0  # that slots were free between two trainings, over all slots


@dataclass(frozen=True)
class LeaderboardEntry:
    """A finalist in the ranking. Scores are means over its seeds."""

    rank: int
    group: int  # from 1; entries of one group do not differ significantly
    trial: int
    config: Params
    seeds: list[int]
    final_trials: list[int]  # the numbers of its retrainings in finals.jsonl
    score: float  # on the test data, by the metric of the ranking
    score_std: float | None  # None for one seed
    score_ci: tuple[float, float]
    figures: dict[str, float | None]  # other figures by name; None if one could not be measured
    intervals: dict[str, tuple[float, float]]  # of other scores on the test data, by name
    groups: dict[str, int]  # its group by other scores
    num_parameters: int | None  # None if the problem does not give it
    train_seconds: float
    pareto: bool  # no other finalist is at least as good in score and costs (parameters by default), and better in one
    untrained: bool  # whether it has learnt nothing

    def stored(self, metric: str) -> dict[str, Any]:
        """The entry as in leaderboard.json. metric: the name of the score, such as test_bleu."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        scores = {f"{metric}{key}": values.pop(f"score{key}") for key in SCORE}
        figures, intervals, groups = (values.pop(key) for key in ("figures", "intervals", "groups"))
        further = {f"{name}_ci": ends for name, ends in intervals.items()}
        further |= {f"{name}_group": group for name, group in groups.items()}
        rest = {key: values.pop(key) for key in ("num_parameters", "train_seconds", "pareto", "untrained")}
        return {**values, **scores, **figures, **further, **rest}

    def cost(self, name: str) -> float | None:
        """A cost by its name in `search.goals`; less is better. None if it is not known."""
        if name == PARAMETERS:
            return self.num_parameters
        return self.train_seconds if name == TRAIN_SECONDS else self.figures.get(name)


SCORE = ("", "_std", "_ci")  # suffixes of the score's name in leaderboard.json


@dataclass(frozen=True)
class Significance:
    """How intervals and p-values were computed, and how much the score varies among seeds."""

    level: float
    resamples: int
    shuffles: int
    seed: int
    std_of_seeds: float | None  # standard deviation of the score among seeds; None with one seed each
    degrees_of_freedom: int


@dataclass(frozen=True)
class Leaderboard:
    """The ranking, and how it was made."""

    experiment: str
    metric: str  # the name of the score, such as test_bleu
    corpus: DataSize | None  # None if the problem does not give it
    signatures: dict[str, str]  # by score: how it was computed, such as sacreBLEU's signature
    search: Cost
    decided_by: str  # the metric, or the one that decided instead
    notes: list[str]  # sentences on anything else
    ranking: list[LeaderboardEntry]  # the best first
    comparisons: list[Comparison]  # all pairs, by their trials
    further: dict[str, list[Comparison]]  # all pairs by other scores on the test data, by name
    chosen: int  # the trial whose model is in best/: the first, or what `search.goal` wished for
    significance: Significance
    outlook: list[str] = field(default_factory=list)  # sentences on finalists that were not told apart

    @property
    def best(self) -> LeaderboardEntry:
        """The entry whose model is in best/."""
        return next(entry for entry in self.ranking if entry.trial == self.chosen)

    def stored(self) -> dict[str, Any]:
        """The content of leaderboard.json."""
        record = asdict(self)
        significance = record["significance"]
        noise = {f"{_short(self.metric)}_std_of_seeds": significance.pop("std_of_seeds")}
        ranking = [entry.stored(self.metric) for entry in self.ranking]
        return {**record, "ranking": ranking, "significance": {**significance, **noise}}


def flat_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the stored ranking with one value in each cell: the ends of intervals, and each hyperparameter."""
    intervals = {key.removesuffix("_ci"): ends for key, ends in entry.items() if key.endswith("_ci")}
    ends = {
        f"{name}_{end}": x for name, both in intervals.items() for end, x in zip(("low", "high"), both, strict=True)
    }
    lists = ("seeds", "final_trials")
    rest = {key: value for key, value in entry.items() if key not in ("config", *lists) and not key.endswith("_ci")}
    return {**rest, "num_seeds": len(entry["seeds"]), **ends, **entry["config"]}


def read_leaderboard(file: Path) -> Leaderboard:
    """Read leaderboard.json, also that of version 0.1. Raises Damaged."""
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
            _read_comparisons(record["comparisons"]),
            {name: _read_comparisons(pairs) for name, pairs in record.get("further", {}).items()},
            record.get("chosen", record["ranking"][0]["trial"]),
            Significance(**significance, std_of_seeds=noise),
            record.get("outlook", []),
        )
    except (TypeError, KeyError, IndexError):
        raise Damaged(f"{file}: is damaged; restore it from a copy") from None


def _read_comparisons(stored: list[dict[str, Any]]) -> list[Comparison]:
    return [Comparison(**{**pair, "ci": tuple(pair["ci"])}) for pair in stored]


def _short(metric: str) -> str:
    """test_bleu -> bleu."""
    return metric.removeprefix("test_")


def _read_entry(stored: dict[str, Any], metric: str) -> LeaderboardEntry:
    values = {"untrained": False, **stored}  # version 0.1 lacks it
    score, std, (low, high) = (values.pop(f"{metric}{key}") for key in SCORE)
    known = {field.name for field in fields(LeaderboardEntry)} & values.keys()
    named = {key: values.pop(key) for key in known}
    beside = [name for name in values if f"{name}_ci" in values]
    intervals = {name: (ends[0], ends[1]) for name in beside for ends in [values.pop(f"{name}_ci")]}
    groups = {name: values.pop(f"{name}_group") for name in beside}
    return LeaderboardEntry(
        **named,
        score=score,
        score_std=std,
        score_ci=(low, high),
        figures=values,
        intervals=intervals,
        groups=groups,
    )
