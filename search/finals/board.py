"""The leaderboard as a value: the content of leaderboard.json, which is a public interface (docs/design.md)."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from search.finals.significance import Comparison
from search.space.space import Params
from trainables.base.sealing import Damaged, read_sealed


@dataclass(frozen=True)
class CorpusSize:
    """What was trained and scored on."""

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
    epochs_full: int  # had every trial been trained to the end
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
    test_bleu: float
    test_bleu_std: float | None  # None for one seed
    test_bleu_ci: tuple[float, float]
    test_chrf: float
    test_ter: float
    test_sentence_bleu: float
    test_ppl_per_char: float | None  # None where learned positions end before the longest sentence
    test_neural: float | None  # by `finals.neural_metric`
    valid_bleu: float
    valid_nll_per_char: float  # nan in version 0.1
    num_parameters: int
    train_seconds: float
    beam_size: int
    length_penalty: float
    pareto: bool  # no other finalist is at least as good in BLEU and parameters, and better in one
    untrained: bool  # it has learnt nothing

    def stored(self) -> dict[str, Any]:
        """As it stands in leaderboard.json."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: value for key, value in values.items() if key != "test_neural" or value is not None}


@dataclass(frozen=True)
class Significance:
    """How intervals and p-values were computed, and how much BLEU varies among seeds."""

    level: float
    resamples: int
    shuffles: int
    seed: int
    bleu_std_of_seeds: float | None  # None with one seed each
    degrees_of_freedom: int


@dataclass(frozen=True)
class Leaderboard:
    """The ranking and what it rests on."""

    experiment: str
    corpus: CorpusSize
    signatures: dict[str, str]  # of sacreBLEU, by metric
    search: Cost
    decided_by: str  # test_bleu, unless that tells nothing
    notes: list[str]  # sentences on what else is to be known
    ranking: list[LeaderboardEntry]  # the best first
    comparisons: list[Comparison]  # of all pairs, by their trials
    significance: Significance

    def stored(self) -> dict[str, Any]:
        """As it stands in leaderboard.json."""
        return {**asdict(self), "ranking": [entry.stored() for entry in self.ranking]}


def read_leaderboard(file: Path) -> Leaderboard:
    """What `Leaderboard.stored` gave, also of version 0.1. Raises Damaged."""
    record = read_sealed(file)
    try:
        return Leaderboard(
            record["experiment"],
            CorpusSize(**record["corpus"]),
            record["signatures"],
            Cost(**record["search"]),
            record.get("decided_by", "test_bleu"),
            record.get("notes", []),
            [_read_entry(entry) for entry in record["ranking"]],
            [Comparison(**{**pair, "ci": tuple(pair["ci"])}) for pair in record["comparisons"]],
            Significance(**record["significance"]),
        )
    except (TypeError, KeyError):
        raise Damaged(f"{file}: is damaged: not what was written there; restore it from a copy") from None


def _read_entry(stored: dict[str, Any]) -> LeaderboardEntry:
    known = {field.name for field in fields(LeaderboardEntry)}
    values = {key: value for key, value in stored.items() if key in known}
    added = {"test_neural": None, "valid_nll_per_char": math.nan, "untrained": False}  # since version 0.1
    return LeaderboardEntry(**{**added, **values, "test_bleu_ci": tuple(stored["test_bleu_ci"])})
